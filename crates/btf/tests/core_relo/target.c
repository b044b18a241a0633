// The types that programs of local.c meet.
struct inner { char before; int a; short between; long b; };
typedef struct inner inner_t;
struct fwd_only;

struct outer {
	char before[24];
	unsigned long widened;
	unsigned short narrowed;
	int moved;
	long signed_resized;
	struct inner *pointer;
	struct inner nested;
	inner_t by_typedef;
	struct inner array[5];
	int numbers[6];
	int matrix[3][4];
	union { struct { int pad; union { int in_union; }; }; };
	struct { short deep; };
	void *became_pointer;
	int shifted : 6;
	unsigned bits_a : 4;
	int bits_b : 12;
	unsigned long bits_c : 41;
	int plain_there;
	int bitfield_there : 7;
	enum color { GREEN, RED } color;
	unsigned char bytes[8];
	int flexible[];
};

enum shifting { SECOND = 22, ZERO = 0, FIRST = 11, NEGATIVE = -55 };
enum unsigned_enum { U_BIG = 0xf0000001u, U_SMALL = 7 };
enum wide { W_ONE = 0x300000000ULL, W_TWO = 5 };
enum became_wide { B_ONE = 0x500000000ULL, B_TWO = 6 };

union either { int a; char b; long c; };
typedef long number_t;
typedef int (*callback_t)(struct inner *, int);
typedef struct { int x, y; } anonymous_t;

struct m_same { int a; struct inner *p; int arr[2]; };
struct m_fewer { int z; int a; };
struct m_more { int a; };
struct m_sign { int a; };
struct m_size { int a; };
struct m_ptr_kind { struct inner *p; };
struct m_ptr_fwd { struct fwd_only { int now; } *p; };
struct m_array { int arr[4]; };
struct m_self { struct m_self *next; int v; };
struct m_func { int (*f)(struct inner *, long); };
struct m_func_args { int (*f)(struct inner *, long); };
enum m_enum { ME_B, ME_C, ME_A };
enum m_enum_more { MM_A };

struct outer outer;
enum shifting shifting;
enum unsigned_enum unsigned_enum;
enum wide wide;
enum became_wide became_wide;
union either either;
number_t number;
callback_t callback;
inner_t inner;
anonymous_t anonymous;
struct m_same m1; struct m_fewer m2; struct m_more m3; struct m_sign m4; struct m_size m5;
struct m_ptr_kind m6; struct m_ptr_fwd m7; struct m_array m8; struct m_self m9; struct m_func m10;
struct m_func_args m11; enum m_enum m12; enum m_enum_more m13;
