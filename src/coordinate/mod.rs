//! What sessions and workers share beside a run: so far, messages. Works with no run and no daemon.

pub mod mailbox;
