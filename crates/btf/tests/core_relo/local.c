// What programs are compiled against. The types that they meet are in target.c.
#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
#define SINK(x) asm volatile("" : : "r"((unsigned long long)(x)))

#define field(x, kind) __builtin_preserve_field_info(x, kind)
#define type_id(T, kind) __builtin_btf_type_id(*(T *)0, kind)
#define type_info(T, kind) __builtin_preserve_type_info(*(T *)0, kind)
#define enum_value(E, v, kind) __builtin_preserve_enum_value(*(E *)v, kind)

enum { OFFSET, SIZE, EXISTS, SIGNED, LSHIFT, RSHIFT };

struct inner { int a; long b; } CORE;
typedef struct inner inner_t;
struct missing_type { int x; } CORE;
struct fwd_only;

struct outer {
	int moved;
	unsigned int widened;		// u64 in the target
	unsigned long narrowed;		// u16 in the target
	int signed_resized;		// long in the target: no safe load
	void *pointer;
	struct inner nested;
	inner_t by_typedef;
	struct inner array[4];
	int numbers[8];
	int matrix[2][3];
	union { int in_union; char other; };
	struct { struct { short deep; }; };
	int gone;			// not in the target
	int became_pointer;		// of another kind in the target
	unsigned bits_a : 3;
	int bits_b : 11;
	unsigned long bits_c : 40;
	int plain_there : 5;		// no bitfield in the target
	int bitfield_there;		// a bitfield in the target
	enum color { RED, GREEN } color;
	unsigned char bytes[6];
	int flexible[];
} CORE;

struct outer___v2 { short moved; char only_v2; } CORE;
struct inner___absent { int nowhere; } CORE;

enum shifting { FIRST = 1, SECOND = 2, VANISHED = 3, NEGATIVE = -5 };
enum shifting___flavour { SECOND___x = 2 };
enum unsigned_enum { U_BIG = 0xf0000000u, U_SMALL = 1 };
enum wide { W_ONE = 0x100000000ULL, W_TWO = 2 };
enum became_wide { B_ONE = 1, B_TWO = 2 };

union either { int a; char b; } CORE;
typedef int number_t;
typedef int (*callback_t)(struct inner *, int);
typedef struct { int x; } anonymous_t;

SEC("raw_tp/offsets") int offsets(struct outer *o)
{
	SINK(o->moved);
	SINK(o->widened);
	SINK(o->narrowed);
	SINK(o->pointer);
	SINK(o->nested.b);
	SINK(o->by_typedef.a);
	SINK(o->array[2].b);
	SINK(o->numbers[5]);
	SINK(o->matrix[1][2]);
	SINK(o->in_union);
	SINK(o->deep);
	SINK(o->bytes[3]);
	SINK(o->flexible[7]);
	SINK(o[2].moved);
	SINK(o->color);
	o->moved = 1;
	o->widened = 2;
	return 0;
}

SEC("raw_tp/missing") int missing(struct outer *o)
{
	SINK(o->gone);
	SINK(o->became_pointer);
	SINK(o->signed_resized);
	SINK(((struct missing_type *)o)->x);
	SINK(((struct inner___absent *)o)->nowhere);
	return 0;
}

SEC("raw_tp/flavours") int flavours(struct outer___v2 *o)
{
	SINK(field(o->moved, EXISTS));
	SINK(field(o->moved, OFFSET));
	SINK(field(o->only_v2, EXISTS));
	return 0;
}

#define PLACE(x) SINK(field(x, OFFSET)); SINK(field(x, SIZE)); SINK(field(x, EXISTS))
#define ALL(x) \
	PLACE(x); SINK(field(x, SIGNED)); SINK(field(x, LSHIFT)); SINK(field(x, RSHIFT))

SEC("raw_tp/info") int info(struct outer *o)
{
	ALL(o->moved);
	ALL(o->widened);
	PLACE(o->pointer);
	PLACE(o->nested);
	PLACE(o->numbers);
	ALL(o->in_union);
	ALL(o->gone);
	ALL(o->became_pointer);
	ALL(o->color);
	PLACE(o->array[1].a);
	return 0;
}

SEC("raw_tp/bitfields") int bitfields(struct outer *o)
{
	ALL(o->bits_a);
	ALL(o->bits_b);
	ALL(o->bits_c);
	ALL(o->plain_there);
	ALL(o->bitfield_there);
	return 0;
}

#define TYPE(T) SINK(type_info(T, 0)); SINK(type_info(T, 1)); SINK(type_info(T, 2)); \
	SINK(type_id(T, 0)); SINK(type_id(T, 1))

SEC("raw_tp/types") int types(void *ctx)
{
	TYPE(struct outer);
	TYPE(struct inner);
	TYPE(struct outer___v2);
	TYPE(struct missing_type);
	TYPE(union either);
	TYPE(number_t);
	TYPE(callback_t);
	TYPE(inner_t);
	TYPE(enum shifting);
	TYPE(enum became_wide);
	SINK(type_info(anonymous_t, 0));
	SINK(type_info(struct fwd_only, 0));
	return 0;
}

#define VALUE(E, v) SINK(enum_value(E, v, 0)); SINK(enum_value(E, v, 1))

SEC("raw_tp/enums") int enums(void *ctx)
{
	VALUE(enum shifting, FIRST);
	VALUE(enum shifting, SECOND);
	VALUE(enum shifting, VANISHED);
	VALUE(enum shifting, NEGATIVE);
	VALUE(enum shifting___flavour, SECOND___x);
	VALUE(enum wide, W_ONE);
	VALUE(enum wide, W_TWO);
	VALUE(enum became_wide, B_ONE);
	VALUE(enum unsigned_enum, U_SMALL);
	return 0;
}

struct m_same { int a; struct inner *p; int arr[2]; } CORE;
struct m_fewer { int a; } CORE;
struct m_more { int a, b; } CORE;
struct m_sign { unsigned a; } CORE;
struct m_size { long a; } CORE;
struct m_ptr_kind { union either *p; } CORE;
struct m_ptr_fwd { struct fwd_only *p; } CORE;
struct m_array { int arr[3]; } CORE;
struct m_self { struct m_self *next; int v; } CORE;
struct m_func { int (*f)(struct inner *, long); } CORE;
struct m_func_args { int (*f)(struct inner *); } CORE;
enum m_enum { ME_A, ME_B };
enum m_enum_more { MM_A, MM_B };

SEC("raw_tp/matches") int matches(void *ctx)
{
#define M(T) SINK(type_info(T, 2)); SINK(type_info(T, 0))
	M(struct m_same);
	M(struct m_fewer);
	M(struct m_more);
	M(struct m_sign);
	M(struct m_size);
	M(struct m_ptr_kind);
	M(struct m_ptr_fwd);
	M(struct m_array);
	M(struct m_self);
	M(struct m_func);
	M(struct m_func_args);
	M(enum m_enum);
	M(enum m_enum_more);
	return 0;
}

char _license[] SEC("license") = "GPL";
