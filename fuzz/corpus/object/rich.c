// The source of rich.o: clang-22 -target bpf -g -O2 -mcpu=v3 -fdebug-compilation-dir=. -c rich.c, then llvm-strip-22 -g.
// It has one of everything that an object may ask a loader for.
#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]

typedef unsigned int u32;
typedef unsigned long long u64;
struct task_struct { int pid; struct task_struct *parent; } CORE;
struct value { u64 count; char comm[16]; };

static void *(*lookup)(void *, const void *) = (void *)1;
static long (*tail_call)(void *, void *, u32) = (void *)12;
static long (*loop)(u32, void *, void *, u64) = (void *)181;

int entry(void *ctx);
int other(void *ctx);

struct { __uint(type, 1); __uint(max_entries, 8); __type(key, u32); __type(value, struct value); __uint(pinning, 1); } counts SEC(".maps");
struct { __uint(type, 3); __uint(max_entries, 2); __uint(key_size, 4); __uint(value_size, 4); __array(values, int(void *)); } progs SEC(".maps") = { .values = { [1] = (void *)&other } };
struct inner { __uint(type, 2); __uint(max_entries, 1); __type(key, u32); __type(value, u32); } in_map SEC(".maps");
struct { __uint(type, 12); __uint(max_entries, 2); __type(key, u32); __array(values, struct inner); } outer SEC(".maps") = { .values = { &in_map } };

extern u32 LINUX_KERNEL_VERSION SEC(".kconfig") __attribute__((weak));
extern _Bool CONFIG_BPF SEC(".kconfig");
extern const void bpf_prog_active SEC(".ksyms");
extern struct task_struct *bpf_task_acquire(struct task_struct *) SEC(".ksyms") __attribute__((weak));

const volatile u32 limit = 5;
u64 total;
static u64 hidden = 3;
int custom SEC(".data.custom") = 9;

static long step(u32 i, void *ctx) { total += i; return 0; }

__attribute__((noinline)) int global(int a) { return a * (int)hidden + custom; }
static __attribute__((noinline)) int subprogram(void *ctx) { u32 key = 0; struct value *v = lookup(&counts, &key); return v ? v->comm[1] : 0; }

SEC("raw_tp/a") int entry(void *ctx)
{
	struct task_struct *t = *(struct task_struct **)ctx;
	total += LINUX_KERNEL_VERSION + CONFIG_BPF + limit + (u64)&bpf_prog_active;
	loop(3, step, 0, 0);
	tail_call(ctx, &progs, 1);
	if (bpf_task_acquire)
		bpf_task_acquire(t);
	return t->parent->pid + subprogram(ctx) + global(3);
}
SEC("raw_tp/a") int other(void *ctx) { hidden++; return 0; }
SEC("?xdp.frags") int packets(void *ctx) { u32 key = 1; return !!lookup(&outer, &key); }
char _license[] SEC("license") = "GPL";
