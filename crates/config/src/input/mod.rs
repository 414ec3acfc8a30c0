//! Parses configurations strictly into typed structs, and writes them back.

mod fields;
mod levels;
mod message;
mod misspelling;
mod native;
mod numbers;
mod object;
mod reading;
mod secret;

pub(crate) use fields::fields_of;
pub(crate) use levels::{Found, Levels};
pub(crate) use message::{one_of, wrong};
pub(crate) use native::{in_order, tagged, without_defaults};
pub(crate) use numbers::{Decimal, Whole, default_unless, positive_or};
pub(crate) use object::{Object, without_nulls};
pub(crate) use reading::{NOT_SHOWN, Section, looks_like_a_name, part_of, root, section, tag_of};
pub(crate) use secret::SecretInput;
