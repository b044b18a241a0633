//! Clocks and timers.

use super::signature::{Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_ktime_get_ns = 5, (4, 1), "Nanoseconds since boot, without time asleep.",
        sig(&[], Integer);
    BPF_FUNC_jiffies64 = 118, (5, 6), "The kernel's ticks.",
        sig(&[], Integer);
    BPF_FUNC_ktime_get_boot_ns = 125, (5, 8), "Nanoseconds since boot, with time asleep.",
        sig(&[], Integer);
    BPF_FUNC_ktime_get_coarse_ns = 160, (5, 11), "Nanoseconds since boot, as of the last tick.",
        sig(&[], Integer);
    BPF_FUNC_timer_init = 169, (5, 15), "Sets a timer up.",
        sig(&[TIMER, MAP, ANY], Integer).gpl();
    BPF_FUNC_timer_set_callback = 170, (5, 15), "Chooses the function that a timer calls.",
        sig(&[TIMER, FUNC], Integer).gpl().with(Traits::ASYNC_CALLBACK);
    BPF_FUNC_timer_start = 171, (5, 15), "Starts a timer.",
        sig(&[TIMER, ANY, ANY], Integer).gpl();
    BPF_FUNC_timer_cancel = 172, (5, 15), "Stops a timer and waits for its function.",
        sig(&[TIMER], Integer).gpl();
    BPF_FUNC_ktime_get_tai_ns = 208, (6, 1), "Nanoseconds of the TAI clock.",
        sig(&[], Integer);
}
