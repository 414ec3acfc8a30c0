//! What a decompressor did with its input.

/// What one call of `decode` did.
#[derive(Debug, Default)]
pub(super) struct Did {
    /// Input bytes that are used up.
    pub(super) used: usize,
    /// The member's last byte was used, and all of its text handed over.
    pub(super) ended: bool,
    /// The input is damaged behind the used bytes.
    pub(super) fault: Option<String>,
}

impl Did {
    pub(super) fn used(used: usize) -> Self {
        Self { used, ..Self::default() }
    }

    pub(super) fn damaged(used: usize, reason: impl ToString) -> Self {
        Self { used, ended: false, fault: Some(reason.to_string()) }
    }
}
