// SPDX-License-Identifier: MIT OR Apache-2.0
// Stands in for libbpf's header where a program is compiled for this CPU itself: sections are nothing,
// and array maps are memory. Programs with other maps or helpers are not compiled natively.
#ifndef PANAL_NATIVE_BPF_HELPERS_H
#define PANAL_NATIVE_BPF_HELPERS_H

#include <stdlib.h>
#include <linux/types.h>

#define SEC(name)
#define __uint(name, number) int(*name)[number]
#define __type(name, type) typeof(type) *name
#define __noinline __attribute__((noinline))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#define NATIVE_NUMBER(field) (sizeof(*(field)) / sizeof(int))

// The values of an array stand behind its `value`, made at the first lookup.
#define bpf_map_lookup_elem(map, at)                                                               \
	({                                                                                         \
		_Static_assert(NATIVE_NUMBER((map)->type) == BPF_MAP_TYPE_ARRAY,                   \
			       "only arrays have a native counterpart");                           \
		const __u32 number = *(at);                                                        \
                                                                                                   \
		if (__builtin_expect(!(map)->value, 0))                                            \
			(map)->value = calloc(NATIVE_NUMBER((map)->max_entries),                   \
					      sizeof(*(map)->value));                              \
		number < NATIVE_NUMBER((map)->max_entries) ? (map)->value + number : NULL;         \
	})

#endif
