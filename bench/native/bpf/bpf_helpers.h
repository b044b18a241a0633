// SPDX-License-Identifier: MIT OR Apache-2.0
// Stands in for libbpf's header where a program is compiled for this CPU, or for a runtime without maps:
// sections are nothing, and an array map is memory of the program's own. Programs with other maps or
// helpers are not compiled so.
#ifndef PANAL_NATIVE_BPF_HELPERS_H
#define PANAL_NATIVE_BPF_HELPERS_H

#include <linux/types.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#define SEC(name)
#define __uint(name, number) int(*name)[number]
#define __type(name, type) typeof(type) *name
#define __noinline __attribute__((noinline))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#define NATIVE_NUMBER(field) (sizeof(*(field)) / sizeof(int))

// Programs here look up a map in one place, so its values stand there; in `.data`, because not every
// runtime has sections without contents.
#define bpf_map_lookup_elem(map, at)                                                               \
	({                                                                                         \
		_Static_assert(NATIVE_NUMBER((map)->type) == BPF_MAP_TYPE_ARRAY,                   \
			       "only arrays have a native counterpart");                           \
		static typeof(*(map)->value) values[NATIVE_NUMBER((map)->max_entries)]             \
			__attribute__((section(".data")));                                         \
		const __u32 number = *(at);                                                        \
                                                                                                   \
		number < NATIVE_NUMBER((map)->max_entries) ? values + number : NULL;               \
	})

#endif
