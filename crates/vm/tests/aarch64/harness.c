/* Runs machine code for aarch64 that a test on another machine made: the file named by the argument
 * begins with a `struct head`, then as many `struct job`s, then pages of code. For each job a line
 * says how the run ended, with a hash of the memory that the program was given.
 *
 * RUN_* are offsets into the run, told by the compiler's command line (`RunLayout`). What this file
 * does for a run is what the vm's `jit::runtime` and `Run` do. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef uint64_t u64;
typedef uint32_t u32;

struct head {
	u64 jobs, cage, cage_size, stack, stack_size, memory, memory_size;
};

struct job {
	u64 code;   /* offset in the file */
	u64 budget; /* steps */
	u64 tail;   /* offset of the program that tail calls lead to, or 0 */
};

/* The table in front of a program's code. */
struct function {
	u32 code, frame, slot;
};
struct table {
	u32 count;
	struct function functions[];
};

#define GUARD (1 << 20)
#define SLICE 8192
#define MAX_DEPTH 16

static unsigned char run[RUN_SIZE];
#define FIELD(type, offset) (*(type *)(run + (offset)))

static const unsigned char *file;
static const struct head *head;
static const struct job *job;
static u64 budget;
static u32 depth;
static char ended[128];

static void end(const char *text)
{
	snprintf(ended, sizeof ended, "%s", text);
	FIELD(u32, RUN_STOPPED) = 1;
}

static void end_at(const char *why, u32 slot)
{
	char text[64];
	snprintf(text, sizeof text, "%s %u", why, slot);
	end(text);
}

static void end_access(const char *why, u64 address, u32 slot, u32 size, u32 write)
{
	/* Addresses around the cage count from its start: it lies elsewhere in the other process. */
	char text[128];
	u64 offset = address - head->cage;
	int near = offset + GUARD < head->cage_size + 2 * (u64)GUARD;
	snprintf(text, sizeof text, "%s %u %s%llx %u %u", why, slot, near ? "cage+" : "",
		 (unsigned long long)(near ? offset : address), size, write);
	end(text);
}

static void take_slice(u64 steps)
{
	u64 slice = budget < steps ? budget : steps;
	budget -= slice;
	FIELD(int64_t, RUN_FUEL) += (int64_t)slice;
}

void gate_refill(void *r, u32 slot)
{
	int64_t *fuel = &FIELD(int64_t, RUN_FUEL);
	(void)r;
	u64 lacking = *fuel < 0 ? (u64)-*fuel : 0;
	take_slice(lacking > SLICE ? lacking : SLICE);
	if (*fuel < 0) {
		*fuel = 0;
		end_at("budget", slot);
	}
}

void gate_stop_fault(void *r, u64 address, u32 slot, u32 size, u32 write)
{
	(void)r;
	end_access("fault", address, slot, size, write);
}

void gate_stop_misaligned(void *r, u64 address, u32 slot, u32 size, u32 write)
{
	(void)r;
	(void)write;
	end_access("misaligned", address, slot, size, 0);
}

void gate_stop_stack(void *r, u32 slot)
{
	(void)r;
	end_at("stack", slot);
}

void gate_stop_unreachable(void *r, u32 slot)
{
	(void)r;
	end_at("unreachable", slot);
}

const void *gate_tail_target(u64 context, u64 map, u64 index, void *r, u64 find, u64 frame)
{
	const struct table *target = (const void *)(file + job->tail);
	(void)map, (void)r, (void)find;
	if (!job->tail || index != 0 || FIELD(u32, RUN_TAIL_CALLS) == 0)
		return 0;
	if (frame - FIELD(u64, RUN_STACK) < target->functions[0].frame) {
		end_at("stack", target->functions[0].slot);
		return 0;
	}
	FIELD(u32, RUN_TAIL_CALLS)--;
	FIELD(u64, RUN_TAIL_CONTEXT) = context;
	return (const unsigned char *)target + target->functions[0].code;
}

typedef u64 entry(void *run, u64 frame, const u64 *args, const void *function);

static u64 enter(const struct table *base, u32 index, u64 frame, const u64 *args)
{
	const unsigned char *bytes = (const void *)base;
	const struct function *function = &base->functions[index];
	u64 size = (sizeof(u32) + base->count * sizeof(struct function) + 15) & ~15ull;
	if (frame - FIELD(u64, RUN_STACK) < function->frame) {
		end_at("stack", function->slot);
		return 0;
	}
	const void *before = FIELD(const void *, RUN_MACHINE);
	FIELD(const void *, RUN_MACHINE) = base;
	u64 result = ((entry *)(bytes + size))(run, frame, args, bytes + function->code);
	FIELD(const void *, RUN_MACHINE) = before;
	return result;
}

/* Helper 1: calls back `count` times with the number and `extra`; the sum of the answers. */
u64 gate_repeat(u64 count, u64 function, u64 extra)
{
	u64 sum = 0;
	for (u64 i = 0; i < count; i++) {
		const struct table *base = FIELD(const struct table *, RUN_MACHINE);
		int64_t *fuel = &FIELD(int64_t, RUN_FUEL);
		if (function - 1 >= base->count) {
			end("no function");
			return 0;
		}
		const u32 slot = base->functions[function - 1].slot;
		if (depth >= MAX_DEPTH) {
			end_at("stack", slot);
			return 0;
		}
		if (*fuel < 8) {
			take_slice(SLICE);
			if (*fuel < 8) {
				end_at("budget", slot);
				return 0;
			}
		}
		*fuel -= 8;
		depth++;
		u64 args[5] = { i, extra }, frame = FIELD(u64, RUN_STACK_TOP);
		sum += enter(base, function - 1, frame, args);
		FIELD(u64, RUN_STACK_TOP) = frame;
		depth--;
		if (FIELD(u32, RUN_STOPPED))
			return 0;
	}
	return sum;
}

/* Helper 2: a number made of all five arguments; leaves nothing in the registers that it may use. */
u64 gate_mix(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	u64 mixed = a + 3 * b + 5 * c + 7 * d + 11 * e;
	asm volatile("mov x1, #-1\n mov x2, #-1\n mov x3, #-1\n mov x4, #-1\n mov x5, #-1\n"
		     "mov x6, #-1\n mov x7, #-1\n mov x8, #-1\n mov x9, #-1\n mov x10, #-1\n"
		     "mov x11, #-1\n mov x12, #-1\n mov x13, #-1\n mov x14, #-1\n mov x15, #-1\n"
		     "mov x16, #-1\n mov x17, #-1" ::
			     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
			       "x12", "x13", "x14", "x15", "x16", "x17");
	return mixed;
}

/* A field of a context that is computed: written first, if there is something to write. */
u64 gate_field(u64 at, u64 value, u64 third)
{
	u64 *field = (void *)at;
	if (value)
		*field = value + third;
	return *field * 2 + third;
}

/* Where an access to an arena is made: in the memory that the program was given. */
u64 gate_place(u64 pointer, u64 arena, u64 off)
{
	return head->memory + ((pointer + off + arena) & 0xff8);
}

/* A byte of a packet, or less than 0 behind its end. */
u64 gate_packet(u64 context, u64 at)
{
	(void)context;
	return at < head->memory_size ? ((unsigned char *)head->memory)[at] : (u64)-1;
}

/* Where machine code finds these functions: branches in a row, at an address that the linker is told. */
asm(".section .gates, \"ax\", @progbits\n"
    "b gate_refill\n"
    "b gate_tail_target\n"
    "b gate_stop_fault\n"
    "b gate_stop_misaligned\n"
    "b gate_stop_stack\n"
    "b gate_stop_unreachable\n"
    "b gate_repeat\n"
    "b gate_mix\n"
    "b gate_field\n"
    "b gate_place\n"
    "b gate_packet\n"
    ".text\n");

static void map_cage(void)
{
	void *at = (void *)(head->cage - GUARD);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
	if (mmap(at, head->cage_size + 2 * GUARD, PROT_READ | PROT_WRITE, flags, -1, 0) != at) {
		perror("the cage");
		exit(2);
	}
}

/* FNV-1a */
static u64 hash(const unsigned char *bytes, u64 len)
{
	u64 sum = 0xcbf29ce484222325;
	while (len--)
		sum = (sum ^ *bytes++) * 0x100000001b3;
	return sum;
}

static void execute(void)
{
	unsigned char *memory = (void *)head->memory;
	for (u64 i = 0; i < head->memory_size; i++)
		memory[i] = i * 7 + 1;
	memset((void *)head->stack, 0, head->stack_size);
	memset(run, 0, sizeof run);
	FIELD(u64, RUN_CAGE_BASE) = head->cage;
	FIELD(u64, RUN_CAGE_SIZE) = head->cage_size;
	FIELD(u64, RUN_STACK) = head->stack;
	FIELD(u64, RUN_STACK_TOP) = head->stack + head->stack_size;
	FIELD(u32, RUN_TAIL_CALLS) = 33;
	budget = job->budget;
	depth = 0;
	ended[0] = 0;
	take_slice(SLICE);
	const u64 args[5] = { head->memory };
	u64 frame = head->stack + head->stack_size;
	u64 result = enter((const void *)(file + job->code), 0, frame, args);
	if (ended[0])
		printf("%s", ended);
	else
		printf("ok %llx", (unsigned long long)result);
	printf(" %llx\n", (unsigned long long)hash(memory, head->memory_size));
}

int main(int argc, char **argv)
{
	struct stat stat;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0 || fstat(fd, &stat) != 0)
		return 2;
	file = mmap(0, stat.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		return 2;
	head = (const void *)file;
	job = (const void *)(head + 1);
	map_cage();
	for (u64 i = 0; i < head->jobs; i++, job++)
		execute();
	return 0;
}
