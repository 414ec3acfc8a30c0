//! `spec`

use super::Ending;
use super::output::print;
use tollgate_config::spec;
use tollgate_protocol::message;

pub(super) fn run() -> Ending {
    print(&message::spec(&spec::source()));
    Ending::Success
}
