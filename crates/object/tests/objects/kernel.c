// The types that core.bpf.c and externs.bpf.c meet at load time: compiled for its .BTF.
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct inner { int before; u64 b; int a; };
struct moved {
	char name[24];
	u64 padding;
	struct inner *next;
	struct { struct { int anonymous; }; };
	u32 resized;
	int pid;
	unsigned filler : 4;
	unsigned flag : 7;
	int sign : 9;
	struct inner inners[6];
};
enum colour { GREEN = 7, RED = 5 };
enum big64 : unsigned long long { HUGE = 0x1234567800000000ull };
typedef unsigned long number_t;
union either { int a; char c[20]; };

struct thing { int id; };
const int a_variable __attribute__((section(".data..percpu"))) = 3;
typedef void (*btf_trace_an_event)(void *, int);

struct everything {
	struct moved moved;
	enum colour colour;
	enum big64 big64;
	number_t number;
	union either either;
	struct thing thing;
	btf_trace_an_event trace;
} everything;

__attribute__((noinline)) struct thing *acquire_thing(int id)
{
	return (void *)(long)id;
}

__attribute__((noinline)) void release_thing(struct thing *thing)
{
	asm volatile("" ::"r"(thing));
}
