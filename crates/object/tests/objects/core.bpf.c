// Every kind of CO-RE relocation, against the types in kernel.c.
#include "bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inner { int a; u64 b; };
struct moved {
	u32 gone;
	int pid;
	u16 resized;
	struct inner inners[4];
	unsigned flag : 3;
	int sign : 5;
	struct { int anonymous; };
	char name[16];
	struct inner *next;
};
struct moved___flavour { long renamed; };
struct absent { int x; };
enum colour { RED = 1, GREEN = 2, BLUE___other = 9 };
enum big64 : unsigned long long { HUGE = 0xffffffff00000000ull };
typedef int number_t;
union either { int a; char c[12]; };

#pragma clang attribute pop

#define FIELD_BYTE_OFFSET 0
#define FIELD_BYTE_SIZE 1
#define FIELD_EXISTS 2
#define FIELD_SIGNED 3
#define FIELD_LSHIFT 4
#define FIELD_RSHIFT 5
#define field(p, f, kind) __builtin_preserve_field_info((p)->f, kind)
#define type_exists(t) __builtin_preserve_type_info(*(t *)0, 0)
#define type_size(t) __builtin_preserve_type_info(*(t *)0, 1)
#define type_matches(t) __builtin_preserve_type_info(*(t *)0, 2)
#define type_local(t) __builtin_btf_type_id(*(t *)0, 0)
#define type_target(t) __builtin_btf_type_id(*(t *)0, 1)
#define value_exists(e, v) __builtin_preserve_enum_value(*(e *)v, 0)
#define value(e, v) __builtin_preserve_enum_value(*(e *)v, 1)

SEC("tracepoint/a/loads") int loads(struct moved *p)
{
	return p->pid + p->inners[2].b + p->anonymous + p->name[5];
}

SEC("tracepoint/a/stores") int stores(struct moved *p)
{
	p->pid = 4;
	p->inners[1].a = p->pid;
	return p->resized;
}

SEC("tracepoint/a/fields") int fields(struct moved *p)
{
	u64 sum = field(p, flag, FIELD_LSHIFT) + field(p, flag, FIELD_RSHIFT);

	sum += field(p, sign, FIELD_SIGNED) + field(p, sign, FIELD_BYTE_OFFSET);
	sum += field(p, sign, FIELD_BYTE_SIZE) + field(p, name, FIELD_BYTE_SIZE);
	if (field(p, gone, FIELD_EXISTS))
		sum += p->gone;
	if (field((struct moved___flavour *)p, renamed, FIELD_EXISTS))
		sum += ((struct moved___flavour *)p)->renamed;
	return sum;
}

SEC("tracepoint/a/types") int types(void *p)
{
	u64 sum = type_exists(struct moved) + type_exists(struct absent);

	sum += type_size(struct moved) + type_size(struct inner) + type_size(union either);
	sum += type_matches(struct inner) + type_matches(struct absent) + type_exists(number_t);
	if (type_exists(struct absent))
		sum += type_size(struct absent);
	return sum;
}

SEC("tracepoint/a/ids") u64 ids(void *p)
{
	return type_local(struct inner) + type_target(struct inner);
}

SEC("tracepoint/a/enums") u64 enums(void *p)
{
	static volatile int red = RED, green = GREEN;
	u64 sum = value(enum colour, RED) + value(enum colour, GREEN) + value(enum big64, HUGE);

	sum += value_exists(enum colour, BLUE___other) + value_exists(enum colour, GREEN);
	if (value_exists(enum colour, BLUE___other))
		sum += value(enum colour, BLUE___other);
	return sum + red + green;
}

static __noinline int sub(struct moved *p)
{
	return p->next->a;
}

SEC("tracepoint/a/calls") int calls(struct moved *p)
{
	return sub(p) + p->pid;
}
