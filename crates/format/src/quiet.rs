//! Panics of libraries that read bytes from outside.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside of [`caught`].
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs a call into a library. A panic ends as its message, and leaves nothing on standard error: it is a fault of the
/// file, not of this program.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                others(panic);
            }
        }));
    });
    let outside = INSIDE.replace(true);
    // Nothing that the call may have left half-done is used afterwards: a decoder is not called again after an error.
    let done = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outside);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_as_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("of {}", "a library")), Err::<(), _>("of a library".to_owned()));
        assert_eq!(caught(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert!(!INSIDE.get());
    }

    #[test]
    #[ignore = "the next test runs it in a process of its own"]
    fn panics_of_a_library() {
        assert!(caught(|| panic!("nobody sees this")).is_err());
    }

    #[test]
    fn panics_of_libraries_leave_nothing_on_stderr() {
        let program = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(program);
        command.args(["--ignored", "--exact", "--nocapture", "quiet::tests::panics_of_a_library"]);
        let output = command.output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}
