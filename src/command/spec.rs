//! `spec`

use super::Ending;
use super::setup::print;
use crate::config::spec;
use crate::protocol::message;

pub(super) fn run() -> Ending {
    print(&message::spec(&spec::source()));
    Ending::Success
}
