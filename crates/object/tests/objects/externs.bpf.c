// What the kernel gives: configuration, variables, functions.
#include "bpf.h"

enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };

extern u32 LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF __kconfig;
extern char CONFIG_LETTER __kconfig;
extern enum libbpf_tristate CONFIG_TRI __kconfig;
extern char CONFIG_TEXT[8] __kconfig;
extern u64 CONFIG_MISSING __kconfig __weak;
extern short CONFIG_SHORT __kconfig;

extern const int a_variable __ksym;
extern const void an_address __ksym;
extern const int absent_variable __ksym __weak;

struct thing { int id; };
extern struct thing *acquire_thing(int id) __ksym;
extern void release_thing___v2(struct thing *thing) __ksym __weak;
extern int absent_function(int) __ksym __weak;

SEC("tp_btf/an_event") int config(void *ctx)
{
	if (!CONFIG_BPF || CONFIG_TRI == TRI_MODULE)
		return LINUX_KERNEL_VERSION;
	return CONFIG_LETTER + CONFIG_TEXT[1] + CONFIG_MISSING + CONFIG_SHORT;
}

SEC("tp_btf/an_event") int symbols(void *ctx)
{
	if (&absent_variable)
		return absent_variable;
	return a_variable + (long)&an_address;
}

SEC("tp_btf/an_event") int functions(void *ctx)
{
	struct thing *thing = acquire_thing(3);

	if (thing && release_thing___v2)
		release_thing___v2(thing);
	if (absent_function)
		return absent_function(4);
	return 0;
}
