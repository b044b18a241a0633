/*
 * Loads every program of an object alone with libbpf, against the types of another file, so that
 * strace shows what libbpf asks the kernel for. record.py turns that into the expectations beside
 * it:
 *
 *     gcc -o record record.c -lbpf && ./record.py ../../../object/tests/objects
 */
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

static void mark(const char *what, const char *name)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "%s %s\n", what, name);

	if (write(1, line, len) != len)
		_exit(1);
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = argc > 2 ? argv[2] : NULL);
	int count = 1;

	libbpf_set_print(quiet);
	for (int chosen = 0; chosen < count; chosen++) {
		struct bpf_object *object = bpf_object__open_file(argv[1], &opts);
		struct bpf_program *program;
		struct bpf_map *map;
		const char *name = "";

		if (!object) {
			mark("FAILED", argv[1]);
			return 1;
		}
		count = 0;
		bpf_object__for_each_program(program, object) {
			bpf_program__set_autoload(program, count == chosen);
			if (count++ == chosen)
				name = bpf_program__name(program);
		}
		bpf_object__for_each_map(map, object)
			bpf_map__set_pin_path(map, NULL);
		mark("PROGRAM", name);
		bpf_object__load(object);
		mark("END", name);
		bpf_object__close(object);
	}
}
