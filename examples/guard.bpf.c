// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A guard around a command: it may read what it likes, but write, make, link, rename and remove files only
// below certain directories, and connect only to certain networks. What is denied fails with EPERM, and is reported.
// It does not see changes of modes, owners and times, mknod, nor datagrams: docs/policy.md says what no hook sees.
//
//   panal run examples/guard.bpf.o -- make install
//   panal run examples/guard.bpf.o --map writable=/home/me/project:1 \
//       --map peers=::ffff:10.0.0.0/104:1 -- npm install
//
// Without rules of one's own, only /tmp may be written and only this machine talked to. Devices
// (/dev/null, terminals) and sockets of this machine are always allowed.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define EPERM 1
#define AF_INET 2
#define AF_INET6 10
#define FMODE_WRITE 0x2
#define FMODE_CREATED 0x100000
#define O_TRUNC 01000
#define S_IFMT 0170000
#define S_IFCHR 0020000

#define PATH_LEN 256

// Whether /tmp may be written, and this machine connected to, besides what the maps allow.
const volatile bool allow_tmp = true;
const volatile bool allow_loopback = true;
// Only report, deny nothing: to learn which rules a command needs.
const volatile bool only_report = false;

struct path_key {
	char path[PATH_LEN];
};

// A file, or a directory with all below it; without a slash at the end.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct path_key);
	__type(value, __u8); // 0 takes back what a rule for a directory above allows
} writable SEC(".maps");

// Room for one path, which is too long for the stack together with the rest.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_key);
} scratch SEC(".maps");

// A network; IPv4 addresses stand behind ::ffff:0:0 (RFC 4291), so that prefixlen is 96 more.
struct network {
	__u32 prefixlen;
	__u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct network);
	__type(value, __u8); // 0 takes back what a shorter rule allows
} peers SEC(".maps");

enum action {
	DENIED_WRITE = 1,
	DENIED_CONNECT = 2,
};

// What user space gets for each denial.
struct event {
	__u32 pid;
	enum action action;
	char comm[16];
	__u16 port;
	__u8 addr[16]; // as in struct network
	char path[PATH_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

// Keeps the type of the events in the object's BTF, where user space finds how to print them.
const struct event *unused_event __attribute__((unused));

static __always_inline struct event *report(enum action action)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->action = action;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	return event;
}

static __always_inline int verdict(void)
{
	return only_report ? 0 : -EPERM;
}

static __always_inline bool is_below_tmp(const char *path)
{
	return path[0] == '/' && path[1] == 't' && path[2] == 'm' && path[3] == 'p' &&
	       (path[4] == '/' || !path[4]);
}

// Whether the rule for the path in `scratch`, or else for the nearest directory above it, allows to
// write. Shortens the path to the rule's. Global, so that the verifier looks at it once for all callers.
__noinline int is_writable(void)
{
	__u32 zero = 0;
	struct path_key *key = bpf_map_lookup_elem(&scratch, &zero);
	__u8 *allowed;

	if (!key)
		return 0;
	if (allow_tmp && is_below_tmp(key->path))
		return 1;
	allowed = bpf_map_lookup_elem(&writable, key);
	for (int i = PATH_LEN - 1; !allowed && i > 0; i--) {
		char c = key->path[i];

		key->path[i] = 0;
		if (c == '/')
			allowed = bpf_map_lookup_elem(&writable, key);
	}
	return allowed && *allowed;
}

// What to return for a change at this path: 0, or -EPERM with a report.
static __always_inline int check(struct path *path)
{
	struct path_key *key;
	struct event *event;
	__u32 zero = 0;

	key = bpf_map_lookup_elem(&scratch, &zero);
	if (!key)
		return -EPERM;
	__builtin_memset(key, 0, sizeof(*key));
	// A path too long for the rules matches none.
	if (bpf_d_path(path, key->path, sizeof(key->path)) > 0 && is_writable())
		return 0;
	event = report(DENIED_WRITE);
	if (event) {
		bpf_d_path(path, event->path, sizeof(event->path));
		bpf_ringbuf_submit(event, 0);
	}
	return verdict();
}

SEC("lsm/file_open")
int BPF_PROG(guard_file_open, struct file *file, int ret)
{
	if (ret)
		return ret;
	if (!(file->f_mode & (FMODE_WRITE | FMODE_CREATED)) && !(file->f_flags & O_TRUNC))
		return 0;
	if ((file->f_inode->i_mode & S_IFMT) == S_IFCHR)
		return 0;
	return check(&file->f_path);
}

// Names are judged by their directory.

SEC("lsm/path_unlink")
int BPF_PROG(guard_unlink, struct path *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : check(dir);
}

SEC("lsm/path_rmdir")
int BPF_PROG(guard_rmdir, struct path *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : check(dir);
}

SEC("lsm/path_mkdir")
int BPF_PROG(guard_mkdir, struct path *dir, struct dentry *dentry, umode_t mode, int ret)
{
	return ret ? ret : check(dir);
}

SEC("lsm/path_rename")
int BPF_PROG(guard_rename, struct path *old_dir, struct dentry *old_dentry, struct path *new_dir,
	     struct dentry *new_dentry, unsigned int flags, int ret)
{
	if (ret)
		return ret;
	ret = check(old_dir);
	return ret ? ret : check(new_dir);
}

// A file that is known by two names could be written by the one and read by the other: new names
// only in the same directory, so that the rule for both is one.
SEC("lsm/path_link")
int BPF_PROG(guard_link, struct dentry *old_dentry, struct path *new_dir,
	     struct dentry *new_dentry, int ret)
{
	struct event *event;

	if (ret)
		return ret;
	if (old_dentry->d_parent == new_dir->dentry)
		return check(new_dir);
	event = report(DENIED_WRITE);
	if (event) {
		bpf_d_path(new_dir, event->path, sizeof(event->path));
		bpf_ringbuf_submit(event, 0);
	}
	return verdict();
}

SEC("lsm/path_symlink")
int BPF_PROG(guard_symlink, struct path *dir, struct dentry *dentry, const char *old_name, int ret)
{
	return ret ? ret : check(dir);
}

SEC("lsm/path_truncate")
int BPF_PROG(guard_truncate, struct path *path, int ret)
{
	return ret ? ret : check(path);
}

static __always_inline bool is_loopback(const struct network *to)
{
	const __u8 *a = to->addr;
	bool v4 = a[10] == 0xff && a[11] == 0xff;
	__u8 before = a[0] | a[1] | a[2] | a[3] | a[4] | a[5] | a[6] | a[7] | a[8] | a[9];

	if (before)
		return false;
	if (v4)
		return a[12] == 127;
	return !(a[10] | a[11] | a[12] | a[13] | a[14]) && a[15] == 1;
}

SEC("lsm/socket_connect")
int BPF_PROG(guard_socket_connect, struct socket *sock, struct sockaddr *address, int addrlen,
	     int ret)
{
	struct network to = { .prefixlen = 128 };
	struct event *event;
	__u8 *allowed;
	__u16 port;

	if (ret)
		return ret;
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in = {};

		if (bpf_probe_read_kernel(&in, sizeof(in), address))
			return verdict();
		to.addr[10] = to.addr[11] = 0xff;
		__builtin_memcpy(to.addr + 12, &in.sin_addr, 4);
		port = in.sin_port;
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6 = {};

		if (bpf_probe_read_kernel(&in6, sizeof(in6), address))
			return verdict();
		__builtin_memcpy(to.addr, &in6.sin6_addr, 16);
		port = in6.sin6_port;
	} else {
		return 0;
	}
	if (allow_loopback && is_loopback(&to))
		return 0;
	allowed = bpf_map_lookup_elem(&peers, &to);
	if (allowed && *allowed)
		return 0;
	event = report(DENIED_CONNECT);
	if (event) {
		event->port = bpf_ntohs(port);
		__builtin_memcpy(event->addr, to.addr, sizeof(event->addr));
		bpf_ringbuf_submit(event, 0);
	}
	return verdict();
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
