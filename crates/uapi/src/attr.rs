//! `union bpf_attr`: the bytes that cross the system call, command by command (bpf(2)).
//!
//! One definition serves both directions: a kernel reached by system call encodes, an interceptor
//! of system calls decodes.

use alloc::vec::Vec;

/// A field that an attribute can hold.
pub trait Field: Sized {
    /// Appends the field's bytes in host order.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes the field off the front; what is missing reads as zero.
    fn take(bytes: &mut &[u8]) -> Self;
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let mut field = [0; N];
    let n = bytes.len().min(N);
    let (head, tail) = bytes.split_at(n);
    field[..n].copy_from_slice(head);
    *bytes = tail;
    field
}

macro_rules! number_field {
    ($($ty:ty)*) => {$(
        impl Field for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
            fn take(bytes: &mut &[u8]) -> Self {
                <$ty>::from_ne_bytes(take_array(bytes))
            }
        }
    )*};
}
number_field!(u16 i32 u32 u64);

impl<const N: usize> Field for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(bytes: &mut &[u8]) -> Self {
        take_array(bytes)
    }
}

/// A name cut to what the kernel keeps: 15 bytes and a zero.
pub fn object_name(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    for (to, from) in field.iter_mut().take(15).zip(name.bytes()) {
        // The kernel takes letters, digits, '_' and '.' only.
        *to = if from.is_ascii_alphanumeric() || from == b'.' {
            from
        } else {
            b'_'
        };
    }
    field
}

macro_rules! layouts {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $ty:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs)] // fields are named as in linux/bpf.h
        pub struct $name {
            $(pub $field: $ty,)*
        }

        impl $name {
            /// Encodes in host order.
            pub fn to_bytes(&self) -> Vec<u8> {
                let mut out = Vec::new();
                $(self.$field.put(&mut out);)*
                out
            }

            /// Decodes; missing bytes read as zero. `None` when bytes that this version does not
            /// know are not zero: the kernel answers E2BIG.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let mut rest = bytes;
                let value = $name { $($field: Field::take(&mut rest),)* };
                rest.iter().all(|b| *b == 0).then_some(value)
            }
        }
    )*};
}

layouts! {
    /// `BPF_MAP_CREATE`
    MapCreate {
        map_type: u32, key_size: u32, value_size: u32, max_entries: u32, map_flags: u32,
        inner_map_fd: i32, numa_node: u32, map_name: [u8; 16], map_ifindex: u32, btf_fd: i32,
        btf_key_type_id: u32, btf_value_type_id: u32, btf_vmlinux_value_type_id: u32,
        map_extra: u64, value_type_btf_obj_fd: i32, map_token_fd: i32,
    }
    /// `BPF_MAP_*_ELEM`, `BPF_MAP_GET_NEXT_KEY`, `BPF_MAP_FREEZE`
    MapElem { map_fd: i32, pad: u32, key: u64, value: u64, flags: u64, }
    /// `BPF_MAP_*_BATCH`
    MapBatch {
        in_batch: u64, out_batch: u64, keys: u64, values: u64, count: u32, map_fd: i32,
        elem_flags: u64, flags: u64,
    }
    /// `BPF_PROG_LOAD`
    ProgLoad {
        prog_type: u32, insn_cnt: u32, insns: u64, license: u64, log_level: u32, log_size: u32,
        log_buf: u64, kern_version: u32, prog_flags: u32, prog_name: [u8; 16], prog_ifindex: u32,
        expected_attach_type: u32, prog_btf_fd: i32, func_info_rec_size: u32, func_info: u64,
        func_info_cnt: u32, line_info_rec_size: u32, line_info: u64, line_info_cnt: u32,
        attach_btf_id: u32, attach_prog_fd: i32, core_relo_cnt: u32, fd_array: u64,
        core_relos: u64, core_relo_rec_size: u32, log_true_size: u32, prog_token_fd: i32,
        fd_array_cnt: u32,
    }
    /// `BPF_BTF_LOAD`
    BtfLoad {
        btf: u64, btf_log_buf: u64, btf_size: u32, btf_log_size: u32, btf_log_level: u32,
        btf_log_true_size: u32, btf_flags: u32, btf_token_fd: i32,
    }
    /// `BPF_OBJ_PIN`, `BPF_OBJ_GET`
    ObjPin { pathname: u64, bpf_fd: i32, file_flags: u32, path_fd: i32, pad: u32, }
    /// `BPF_PROG_ATTACH`, `BPF_PROG_DETACH`
    ProgAttach {
        target_fd: i32, attach_bpf_fd: i32, attach_type: u32, attach_flags: u32,
        replace_bpf_fd: i32, relative_fd: i32, expected_revision: u64,
    }
    /// `BPF_PROG_TEST_RUN`
    ProgTestRun {
        prog_fd: i32, retval: u32, data_size_in: u32, data_size_out: u32, data_in: u64,
        data_out: u64, repeat: u32, duration: u32, ctx_size_in: u32, ctx_size_out: u32,
        ctx_in: u64, ctx_out: u64, flags: u32, cpu: u32, batch_size: u32, pad: u32,
    }
    /// `BPF_*_GET_NEXT_ID`, `BPF_*_GET_FD_BY_ID`
    GetId { id: u32, next_id: u32, open_flags: u32, fd_by_id_token_fd: i32, }
    /// `BPF_OBJ_GET_INFO_BY_FD`
    GetInfo { bpf_fd: i32, info_len: u32, info: u64, }
    /// `BPF_RAW_TRACEPOINT_OPEN`
    RawTracepointOpen { name: u64, prog_fd: i32, pad: u32, cookie: u64, }
    /// `BPF_LINK_CREATE` for links without further attributes: XDP, cgroup, network namespace
    LinkCreate { prog_fd: i32, target: u32, attach_type: u32, flags: u32, }
    /// `BPF_LINK_CREATE` for perf events
    LinkCreatePerf { prog_fd: i32, target: u32, attach_type: u32, flags: u32, bpf_cookie: u64, }
    /// `BPF_LINK_CREATE` for tracing programs
    LinkCreateTracing {
        prog_fd: i32, target: u32, attach_type: u32, flags: u32, target_btf_id: u32, pad: u32,
        cookie: u64,
    }
    /// `BPF_LINK_CREATE` for iterators
    LinkCreateIter {
        prog_fd: i32, target: u32, attach_type: u32, flags: u32, iter_info: u64,
        iter_info_len: u32, pad: u32,
    }
    /// `BPF_LINK_CREATE` for kprobe.multi
    LinkCreateKprobeMulti {
        prog_fd: i32, target: u32, attach_type: u32, flags: u32, multi_flags: u32, count: u32,
        symbols: u64, addresses: u64, cookies: u64,
    }
    /// `BPF_LINK_CREATE` for uprobe.multi
    LinkCreateUprobeMulti {
        prog_fd: i32, target: u32, attach_type: u32, flags: u32, path: u64, offsets: u64,
        ref_ctr_offsets: u64, cookies: u64, count: u32, multi_flags: u32, pid: u32, pad: u32,
    }
    /// `BPF_LINK_CREATE` for netfilter
    LinkCreateNetfilter {
        prog_fd: i32, target: u32, attach_type: u32, flags: u32, family: u32, hook: u32,
        priority: i32, netfilter_flags: u32,
    }
    /// `BPF_LINK_CREATE` for tcx, netkit and cgroups with an order
    LinkCreateOrdered {
        prog_fd: i32, target: u32, attach_type: u32, flags: u32, relative_fd: u32, pad: u32,
        expected_revision: u64,
    }
    /// `BPF_LINK_UPDATE`
    LinkUpdate { link_fd: i32, new_prog_fd: i32, flags: u32, old_prog_fd: i32, }
    /// `BPF_LINK_DETACH`
    LinkDetach { link_fd: i32, }
    /// `BPF_ITER_CREATE`
    IterCreate { link_fd: i32, flags: u32, }
    /// `BPF_ENABLE_STATS`
    EnableStats { kind: u32, }
    /// `BPF_PROG_BIND_MAP`
    ProgBindMap { prog_fd: i32, map_fd: i32, flags: u32, }
    /// `struct bpf_map_info`
    MapInfoBytes {
        map_type: u32, id: u32, key_size: u32, value_size: u32, max_entries: u32, map_flags: u32,
        name: [u8; 16], ifindex: u32, btf_vmlinux_value_type_id: u32, netns_dev: u64,
        netns_ino: u64, btf_id: u32, btf_key_type_id: u32, btf_value_type_id: u32,
        btf_vmlinux_id: u32, map_extra: u64,
    }
    /// `struct bpf_prog_info`
    ProgInfoBytes {
        prog_type: u32, id: u32, tag: [u8; 8], jited_prog_len: u32, xlated_prog_len: u32,
        jited_prog_insns: u64, xlated_prog_insns: u64, load_time: u64, created_by_uid: u32,
        nr_map_ids: u32, map_ids: u64, name: [u8; 16], ifindex: u32, gpl_compatible: u32,
        netns_dev: u64, netns_ino: u64, nr_jited_ksyms: u32, nr_jited_func_lens: u32,
        jited_ksyms: u64, jited_func_lens: u64, btf_id: u32, func_info_rec_size: u32,
        func_info: u64, nr_func_info: u32, nr_line_info: u32, line_info: u64,
        jited_line_info: u64, nr_jited_line_info: u32, line_info_rec_size: u32,
        jited_line_info_rec_size: u32, nr_prog_tags: u32, prog_tags: u64, run_time_ns: u64,
        run_cnt: u64, recursion_misses: u64, verified_insns: u32, attach_btf_obj_id: u32,
        attach_btf_id: u32, pad: u32,
    }
    /// `struct bpf_btf_info`
    BtfInfoBytes { btf: u64, btf_size: u32, id: u32, name: u64, name_len: u32, kernel_btf: u32, }
    /// `struct bpf_func_info`
    FuncInfoBytes { insn_off: u32, type_id: u32, }
    /// `struct bpf_line_info`; `line_col` is line << 10 | column
    LineInfoBytes { insn_off: u32, file_name_off: u32, line_off: u32, line_col: u32, }
}
