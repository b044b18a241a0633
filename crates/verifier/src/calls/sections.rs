//! Sections in which a program may not sleep: RCU, preemption off, interrupts off.

use crate::{
    error::{Check, reject},
    state::State,
};

/// Refuses a call that may sleep; `what` begins the message.
pub fn check_may_sleep(st: &State, what: &str) -> Check {
    let place = if st.refs.rcu > 0 {
        "rcu_read_lock"
    } else if st.refs.preempt > 0 {
        "non-preemptible"
    } else if st.refs.irq != 0 {
        "IRQ-disabled"
    } else {
        return Ok(());
    };
    Err(reject!(Locking, EINVAL, "{what} in {place} region"))
}

/// Whether RCU-protected objects stay alive here.
pub fn in_rcu(st: &State) -> bool {
    st.refs.rcu > 0 || st.refs.locks > 0 || !st.sleepable
}
