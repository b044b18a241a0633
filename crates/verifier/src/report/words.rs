//! Linux's words in other ones: what was wrong, and what mends it, by what Linux says alone.

/// What is said of some of Linux's words.
pub struct Words {
    /// All of these are in them.
    linux: &'static [&'static str],
    /// What was wrong; empty: as the check says.
    pub message: &'static str,
    /// What mends it.
    pub help: &'static str,
}

const fn words(linux: &'static [&'static str], message: &'static str, help: &'static str) -> Words {
    Words {
        linux,
        message,
        help,
    }
}

/// What is said of these words, if there is something to say.
pub fn of(linux: &str) -> Option<&'static Words> {
    let fits = |row: &&Words| row.linux.iter().all(|part| linux.contains(part));
    WORDS.iter().find(fits)
}

/// The first that fits counts.
const WORDS: &[Words] = &[
    words(
        &["invalid mem access 'scalar'"],
        "a number is used as a pointer",
        "only pointers that the verifier has followed from their origin can be used",
    ),
    words(
        &["invalid mem access", "_or_null"],
        "a pointer that may be NULL is used before it is tested",
        "leave when the pointer is NULL, before it is used: `if (!p) return 0;`",
    ),
    words(
        &["pointer arithmetic on", "_or_null"],
        "a pointer that may be NULL is added to before it is tested",
        "leave when the pointer is NULL, before anything is added to it: `if (!p) return 0;`",
    ),
    words(
        &["_or_null expected="],
        "a pointer that may be NULL is passed where none may be",
        "leave when the pointer is NULL, before the call: `if (!p) return 0;`",
    ),
    words(
        &["Possibly NULL pointer passed"],
        "a pointer that may be NULL is passed where none may be",
        "leave when the pointer is NULL, before the call: `if (!p) return 0;`",
    ),
    words(
        &["R0 !read_ok"],
        "the function ends without a return value on this path",
        "return a value on every path of the function",
    ),
    words(
        &["!read_ok"],
        "",
        "initialise the variable on every path to this point",
    ),
    words(
        &["Unreleased reference", "tail_call would lead"],
        "the program is left by a tail call while it still holds an object that it acquired",
        "",
    ),
    words(
        &["Unreleased reference", "bpf_throw would lead"],
        "the program is left by bpf_throw() while it still holds an object that it acquired",
        "",
    ),
    words(
        &["Unreleased reference"],
        "the program ends while it still holds an object that it acquired",
        "release it on every path to the end, error paths too: bpf_ringbuf_submit() or \
         bpf_ringbuf_discard(), bpf_sk_release(), bpf_task_release(), bpf_obj_drop(), \
         the iterator's destroy function, or whatever belongs to it",
    ),
    words(
        &["must be referenced when passed to release function"],
        "an object is released that the program does not hold: it was released already, or never acquired",
        "release each object once, and only what a function acquired for the program",
    ),
    words(
        &["cannot be used inside bpf_spin_lock-ed region"],
        "the program (or function) ends while it holds a lock",
        "call bpf_spin_unlock() on every path before this point",
    ),
    words(
        &["while holding a lock"],
        "a function is called while a lock is held",
        "call it before bpf_spin_lock() or after bpf_spin_unlock(); only few functions may be \
         called in between",
    ),
    words(
        &["cannot be used inside bpf_rcu_read_lock-ed region"],
        "the program (or function) ends inside an RCU section",
        "call bpf_rcu_read_unlock() on every path before this point",
    ),
    words(
        &["cannot be used inside bpf_preempt_disable-ed region"],
        "the program (or function) ends while preemption is disabled",
        "call bpf_preempt_enable() on every path before this point",
    ),
    words(
        &["cannot be used inside bpf_local_irq_save-ed region"],
        "the program (or function) ends while interrupts are disabled",
        "call bpf_local_irq_restore() on every path before this point",
    ),
    words(
        &["requires RCU critical section protection"],
        "this kernel function may be called only inside an RCU section",
        "surround the call with bpf_rcu_read_lock() and bpf_rcu_read_unlock()",
    ),
    words(
        &["expected an RCU CS"],
        "this may be used only inside an RCU section",
        "surround it with bpf_rcu_read_lock() and bpf_rcu_read_unlock()",
    ),
    words(
        &["is sleepable within"],
        "a function that may sleep is called where sleeping is forbidden",
        "call it before the section begins or after it ended",
    ),
    words(
        &["might sleep in a non-sleepable prog"],
        "a helper that may sleep is called in a program that may not",
        "make the program sleepable by its section, where its type allows that: `fentry.s/`, \
         `lsm.s/`, `uprobe.s/`, `iter.s/`; or use the helper's variant that does not sleep",
    ),
    words(
        &["must be sleepable to call sleepable kfunc"],
        "a kernel function that may sleep is called in a program that may not",
        "make the program sleepable by its section, where its type allows that: `fentry.s/`, \
         `lsm.s/`, `uprobe.s/`, `iter.s/`",
    ),
    words(
        &["sleep", "in ", " region"],
        "a helper that may sleep is called where sleeping is forbidden",
        "call it before the section begins or after it ended",
    ),
    words(
        &["cannot use helper"],
        "programs of this type may not call this helper",
        "use a helper of this program type, or another program type (section) that may call it",
    ),
    words(
        &["from non-GPL compatible program"],
        "this helper or kernel function may be called only by programs with a licence compatible with the GPL",
        "declare it: `char LICENSE[] SEC(\"license\") = \"GPL\";`",
    ),
    words(
        &["must have a GPL compatible license"],
        "programs of this type need a licence compatible with the GPL",
        "declare it: `char LICENSE[] SEC(\"license\") = \"GPL\";`",
    ),
    words(
        &["calling kernel function", "is not allowed"],
        "programs of this type may not call this kernel function",
        "use another program type (section) that may call it",
    ),
    words(
        &["expected prog array map for tail call"],
        "a tail call takes its program from a map that is no program array",
        "use a map of type BPF_MAP_TYPE_PROG_ARRAY",
    ),
    words(
        &["cannot pass map_type"],
        "this helper does not take maps of this type",
        "use a helper for this map type, or another map type",
    ),
    words(
        &["invalid func unknown#"],
        "this helper does not exist in the kernel that is meant",
        "ask with bpf_core_enum_value_exists() before it is called, or use an older helper",
    ),
    words(
        &["must be referenced or trusted"],
        "the kernel function wants an object that is surely alive; this pointer may dangle",
        "pass an object that was acquired (bpf_task_acquire(), bpf_cgroup_from_id(), …), or one of \
         the program's arguments",
    ),
    words(
        &["must be a rcu pointer"],
        "the kernel function wants an object that is alive in an RCU section; this pointer may dangle",
        "pass one of the program's arguments, an object that was acquired (bpf_task_from_pid(), …), or \
         a `__kptr` or `__rcu` field that is read inside bpf_rcu_read_lock()",
    ),
    words(
        &["infinite loop detected"],
        "the loop comes back to this instruction with nothing changed: it may never end",
        "let the loop's condition depend on a counter that changes in each round; for loops that \
         wait for something, use `can_loop`, bpf_loop() or an iterator (`bpf_for`)",
    ),
    words(
        &["BPF program is too large. Processed"],
        "the program has too many paths, or loops that run too long: the verifier gave up",
        "bound loops more tightly; or use bpf_loop() or `bpf_for`, whose bodies are verified once; \
         or move code into functions that are not static (global), which are verified on their own",
    ),
    words(
        &["jumps is too complex"],
        "too many branches wait to be verified",
        "use bpf_loop() or `bpf_for`, or move code into global functions",
    ),
    words(
        &["combined stack size"],
        "",
        "move large variables into a map (a per-CPU array with one element is usual), or call \
         fewer functions within each other",
    ),
    words(
        &["stack size of subprog"],
        "the function needs more than 512 bytes of stack",
        "move large variables into a map (a per-CPU array with one element is usual)",
    ),
    words(
        &["call stack of previous frames is"],
        "a function that makes tail calls is called with too much on the stack",
        "at most 256 bytes may be in use where a function with bpf_tail_call() is called: move \
         large variables into a map, or make the tail call in the main program",
    ),
    words(
        &["call stack of"],
        "calls are nested too deeply",
        "no more than 8 functions may be active at once: inline some of them, and make a loop of \
         what calls itself",
    ),
    words(
        &["unreachable insn"],
        "no path through the program leads to this instruction",
        "remove the dead code",
    ),
    words(
        &["last insn is not an exit or jmp"],
        "the function does not end: what follows its last instruction is not part of it",
        "end every path with `return`; in Rust this is often a call of a function that never \
         returns (a panic): avoid what may panic",
    ),
    words(
        &["unexpected __bpf_trap()"],
        "the compiler found undefined behaviour, often an uninitialised variable, and left out the code",
        "initialise the variables, and heed the compiler's warnings",
    ),
    words(
        &["dereference of modified ctx ptr"],
        "the context pointer was changed before it was used",
        "access fields of the context itself; do not take their addresses, and do not step \
         through the context in a loop",
    ),
    words(
        &["variable ctx access"],
        "the context is accessed at an offset that is not constant",
        "access fields of the context by name; unroll loops over its arrays \
         (`#pragma unroll`), or copy it to the stack first",
    ),
    words(
        &["invalid bpf_context access"],
        "",
        "use the fields of the context type as they are declared, with their own size; many are \
         read-only, and some belong to certain program types only",
    ),
    words(
        &["cannot write into rdonly"],
        "read-only memory is written",
        "copy what it holds to the stack, and change the copy",
    ),
    words(
        &["only read is supported"],
        "a kernel object is written directly",
        "kernel objects are read-only for programs: use a helper or kernel function that changes it",
    ),
    words(
        &["cannot write into packet"],
        "programs of this type may not write to the packet",
        "use a program type that may, such as tc or XDP",
    ),
    words(
        &["misaligned"],
        "the access is not aligned to its size",
        "align the variable to the size of the access, or access it byte by byte \
         (`__builtin_memcpy`)",
    ),
    words(
        &["unbounded memory access, use 'var &= const'"],
        "",
        "compare the size with the buffer's size before the call, or mask it",
    ),
    words(
        &["min value is negative, either use unsigned or 'var &= const'"],
        "",
        "make the size unsigned, or leave when it is negative, before the call",
    ),
    words(
        &["invalid zero-sized read"],
        "the size may be 0",
        "leave when the size is 0 before the call",
    ),
    words(
        &["min value is negative, either use unsigned index"],
        "the index may be negative",
        "make the index unsigned, or leave when it is negative, before it is used",
    ),
    words(
        &["unbounded min value is not allowed"],
        "a number without a lower bound is added to a pointer",
        "compare the number with its greatest value, as an unsigned one, before it is added",
    ),
    words(
        &["bitwise operator", "on pointer prohibited"],
        "a bitwise operation is done on a pointer",
        "only numbers may be added to or subtracted from pointers: do the operation on an index",
    ),
    words(
        &["pointer arithmetic with", "operator prohibited"],
        "an operation is done on a pointer that pointers do not allow",
        "only numbers may be added to or subtracted from pointers: do the operation on an index",
    ),
    words(
        &["32-bit pointer arithmetic prohibited"],
        "a pointer is treated as a 32-bit number",
        "keep pointers in 64-bit variables, and do not compute with addresses",
    ),
    words(
        &["pkt_end prohibited"],
        "the end of the packet is computed with",
        "compare `data_end` as it is, and add to the pointer into the packet instead: \
         `p + size > data_end`",
    ),
    words(
        &["pointer arithmetic on", "prohibited"],
        "a number is added to a pointer that does not allow it",
        "index what it points to only after the verifier knows its type and size",
    ),
    words(
        &["Expected an initialized dynptr"],
        "a dynptr is used that was not made, or made only on another path, or released",
        "make it first (bpf_dynptr_from_mem(), bpf_ringbuf_reserve_dynptr(), …), and use it \
         before it is submitted or discarded",
    ),
    words(
        &["cannot overwrite referenced dynptr"],
        "a dynptr that still holds a record is overwritten",
        "submit or discard it first",
    ),
    words(
        &["expected an initialized iter_"],
        "an iterator is used that was not made, or was destroyed already",
        "call the iterator's `new` function first, and `destroy` once, last, also when `new` \
         failed; `bpf_for_each()` does both",
    ),
    words(
        &["global function calls", "holding a lock"],
        "a global function is called while a lock is held",
        "make the function `static`, or call it without the lock",
    ),
    words(
        &["At program exit the register R0 has"],
        "the program may return a value that its type does not allow",
        "",
    ),
    words(
        &["At callback return the register R0 has"],
        "the callback may return a value that the helper does not allow",
        "return 0 to go on, 1 to stop",
    ),
    words(
        &["is not a known value"],
        "the program returns a pointer instead of a number",
        "return a number",
    ),
    words(
        &["frame pointer is read only"],
        "the frame pointer is written",
        "r10 cannot be changed: use another register",
    ),
    words(
        &["At async callback return the register R0 has"],
        "the callback may return a value that is not allowed",
        "return 0",
    ),
    words(
        &["store to referenced kptr disallowed"],
        "a pointer is assigned to a `__kptr` field",
        "acquire the object, and exchange it for what the field holds: \
         `old = bpf_kptr_xchg(&v->field, object)`; release `old` where it is not NULL",
    ),
    words(
        &["cannot be accessed directly by load/store"],
        "a lock, timer or the like in the value is accessed as if it were data",
        "leave that field to its helpers: set the other fields one by one, without memset() or an \
         assignment of the whole",
    ),
    words(
        &["without taking a lock"],
        "a lock is given back that is not held on this path",
        "call bpf_spin_unlock() only where bpf_spin_lock() was called before, on every path",
    ),
    words(
        &["cannot use bpf_spin_lock yet"],
        "programs of this type may not use maps whose values have a bpf_spin_lock",
        "count with atomic operations (`__sync_fetch_and_add()`) or in a per-CPU map, or take the \
         lock out of the value",
    ),
    words(
        &["no write support to"],
        "this field of a kernel object may not be written",
        "only a few fields of a few objects may be, in struct_ops programs: use a helper or kernel \
         function that changes it",
    ),
    words(
        &["reference type('", "size cannot be determined"],
        "a parameter of a global function points to something without a size (`void`, or a struct \
         that is only declared)",
        "let it point to a type with a size, whose bytes are checked where it is called, or make \
         the function `static`",
    ),
    words(
        &["doesn't return scalar. Only those are supported."],
        "a global function returns something else than a number",
        "make the function `static`, so that it is verified where it is called, or return a number",
    ),
    words(
        &["invalid variable offset"],
        "a kernel object is read at an offset that is not constant",
        "copy the array with bpf_probe_read_kernel() (or BPF_CORE_READ_INTO()), and index the copy",
    ),
    words(
        &["BPF_ATOMIC stores into", "is not allowed"],
        "an atomic operation is done on memory that does not allow it",
        "use it on map values and variables: read and write packets and contexts without",
    ),
    words(
        &["is an unacquired reference"],
        "a record is submitted or discarded that is not held: it was given back already, or never \
         reserved",
        "submit or discard each reservation once, on every path",
    ),
    words(
        &["cannot restore irq state out of order"],
        "interrupts are restored in another order than they were disabled",
        "restore the state that was saved last first",
    ),
    words(
        &["Sleepable programs can only use"],
        "a program that may sleep uses a map of a type that may not be used there",
        "use a map of another type, or a section without `.s`",
    ),
    words(
        &["helper call is not allowed in probe"],
        "this helper may be called only in some places of the kernel, and this program is attached to \
         another one",
        "attach the program to a function or LSM hook from which it may be called",
    ),
    words(
        &["invalid access to packet"],
        "",
        "leave when `pointer + size > data_end` before this access, on every path to it",
    ),
    words(
        &["Caller passes invalid args into func"],
        "",
        "pass what its prototype promises: pointers to memory of the declared type",
    ),
];
