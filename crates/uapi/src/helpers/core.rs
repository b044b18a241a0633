//! What every program needs: tail calls, loops, locks, object pointers, CPU numbers, random numbers.

use super::signature::{Arg, ArgFlags, ArgKind, Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_get_prandom_u32 = 7, (4, 1), "A pseudo-random number.",
        sig(&[], Integer);
    BPF_FUNC_get_smp_processor_id = 8, (4, 1), "Number of the CPU that runs the program.",
        sig(&[], Integer).with(Traits::FASTCALL);
    BPF_FUNC_tail_call = 12, (4, 2), "Goes on with another program of an array, and does not return.",
        sig(&[CTX, MAP, ANY], Void).changes_packet();
    BPF_FUNC_get_numa_node_id = 42, (4, 10), "Number of the CPU's NUMA node.",
        sig(&[], Integer);
    BPF_FUNC_spin_lock = 93, (5, 1), "Takes a lock.",
        sig(&[LOCK], Void);
    BPF_FUNC_spin_unlock = 94, (5, 1), "Releases a lock.",
        sig(&[LOCK], Void);
    BPF_FUNC_per_cpu_ptr = 153, (5, 10), "A per-CPU variable's instance on a given CPU, or null.",
        sig(&[PERCPU, ANY], PerCpuOrNull);
    BPF_FUNC_this_cpu_ptr = 154, (5, 10), "A per-CPU variable's instance on this CPU.",
        sig(&[PERCPU], PerCpu);
    BPF_FUNC_loop = 181, (5, 17), "Calls a function a number of times.",
        sig(&[ANY, FUNC, STACK_OR_NULL, ANY], Integer).with(Traits::SYNC_CALLBACK);
    BPF_FUNC_kptr_xchg = 194, (5, 19), "Swaps the object that a field owns.",
        sig(
            &[
                Arg::new(ArgKind::KptrXchgDest),
                Arg::new(ArgKind::KptrXchgSource).or_null().with(ArgFlags::RELEASE),
            ],
            KptrOrNull,
        )
        .acquires();
}
