//! Listing the objects of a stream, page by page, in key order.

use std::collections::VecDeque;

use super::letters;
use crate::config::job::{BadRowAction, DeadLetterPlace, Stream};
use crate::error::Result;
use crate::object::ObjectFacts;
use crate::options::Compression;
use crate::plan::listing::prefixes;
use crate::plan::select::{Selection, Verdict, sample_place};
use crate::s3::{ListRequest, Store};

/// A listing that is under way. It holds one page.
pub(super) struct Listing {
    store: Store,
    selection: Selection,
    prefixes: VecDeque<String>,
    after: Option<String>,
    continuation: Option<String>,
    /// The object outside the sample that is nearest to it: a sample has one object at least.
    nearest: Option<(f64, ObjectFacts)>,
    /// What dead letters in this bucket begin with.
    letters: Option<String>,
    pub(super) counts: ListingCounts,
    archived: Vec<ObjectFacts>,
}

/// What a listing saw so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ListingCounts {
    pub(super) pages: u64,
    pub(super) objects: u64,
    pub(super) selected: u64,
    pub(super) too_old: u64,
    pub(super) markers: u64,
    pub(super) archived: u64,
    pub(super) not_sampled: u64,
    pub(super) letters: u64,
}

impl Listing {
    /// Begins to list a stream's prefixes; keys up to `after` are left out.
    pub(super) fn new(store: &Store, stream: &Stream, after: Option<&str>) -> Self {
        let archives = matches!(stream.compression, Compression::Auto | Compression::Zip);
        let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers)
            .sampled(stream.dev_sampling)
            .with_archives(archives);
        let prefixes = prefixes(selection.patterns(), stream.list_prefix.as_deref());
        let behind =
            |prefix: &String| after.is_none_or(|after| prefix.as_str() > after || after.starts_with(prefix.as_str()));
        Self {
            store: store.clone(),
            prefixes: prefixes.into_iter().filter(behind).collect(),
            selection,
            letters: letters_in(store, stream),
            after: after.map(str::to_owned),
            continuation: None,
            nearest: None,
            counts: ListingCounts::default(),
            archived: Vec::new(),
        }
    }

    /// The prefixes that are still to be listed, for messages.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// The selected objects of the next page, or `None` behind the last one.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        let Some(prefix) = self.prefixes.front() else { return Ok(self.instead_of_nothing()) };
        let start_after = self.after.clone().filter(|_| self.continuation.is_none());
        let request = ListRequest {
            prefix: prefix.clone(),
            start_after,
            continuation: self.continuation.take(),
            ..ListRequest::default()
        };
        // A request's future is large; the listing's own is held in many.
        let page = Box::pin(self.store.list(&request)).await?;
        self.continuation = page.next;
        if self.continuation.is_none() {
            self.prefixes.pop_front();
        }
        self.counts.pages += 1;
        self.counts.objects += page.objects.len() as u64;
        let mut objects = page.objects;
        objects.retain(|object| self.select(object));
        Ok(Some(objects))
    }

    /// At the end of a listing of which nothing was in the sample: the object that was nearest to it.
    fn instead_of_nothing(&mut self) -> Option<Vec<ObjectFacts>> {
        let (_, object) = self.nearest.take().filter(|_| self.counts.selected == 0)?;
        self.counts.selected += 1;
        self.counts.not_sampled -= 1;
        Some(vec![object])
    }

    /// The archived objects of the pages since the last call, which belong to the stream and cannot be read.
    pub(super) fn take_archived(&mut self) -> Vec<ObjectFacts> {
        std::mem::take(&mut self.archived)
    }

    /// Whether the object holds bad rows that a run wrote, and is no data.
    fn letter(&self, object: &ObjectFacts) -> bool {
        let written =
            |prefix: &String| object.key.starts_with(prefix.as_str()) && object.key.ends_with(letters::SUFFIX);
        self.letters.as_ref().is_some_and(written)
    }

    fn select(&mut self, object: &ObjectFacts) -> bool {
        match self.selection.verdict(object) {
            Verdict::Selected if self.letter(object) => self.counts.letters += 1,
            Verdict::Selected if object.storage_class.archived() => {
                self.counts.archived += 1;
                self.archived.push(object.clone());
            }
            Verdict::Selected => {
                self.counts.selected += 1;
                return true;
            }
            Verdict::TooOld => self.counts.too_old += 1,
            Verdict::Marker => self.counts.markers += 1,
            Verdict::NotSampled if object.storage_class.archived() => self.counts.archived += 1,
            Verdict::NotSampled => {
                self.counts.not_sampled += 1;
                let place = sample_place(&object.key);
                if self.nearest.as_ref().is_none_or(|(nearest, _)| place < *nearest) {
                    self.nearest = Some((place, object.clone()));
                }
            }
            Verdict::OtherKey => {}
        }
        false
    }
}

/// What the keys of the stream's dead letters begin with, where they lie among its files.
fn letters_in(store: &Store, stream: &Stream) -> Option<String> {
    match &stream.bad_rows.action {
        BadRowAction::DeadLetter(DeadLetterPlace::Bucket { bucket, prefix }) if bucket == store.bucket() => {
            Some(prefix.clone())
        }
        _ => None,
    }
}
