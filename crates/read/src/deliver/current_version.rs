//! Reads the version of an object that is there, where an inventory told of another one.

use std::sync::Arc;

use crate::deliver::archive_members;
use crate::deliver::context::{FileEnd, ReadGrant, StreamContext};
use crate::deliver::emit::Event;
use crate::deliver::records;
use crate::files::archive;
use tollgate_base::batch::Position;
use tollgate_base::error::{ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_cost::CostReservation;
use tollgate_cursor::Cursor;

/// Reads a file or an archive, if its key fits the partitions. What an inventory told of may not be there any more, which
/// is counted, or be another object by now, which is read instead.
pub(crate) async fn read_current_version(
    context: Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    cursor: Arc<Cursor>,
    grant: ReadGrant,
) -> Result<FileEnd> {
    if let Some(reason) = context.keys.get().and_then(|keys| keys.partition_error(&object.key)) {
        return records::reject_file(&context, object, &from, reason).await;
    }
    let (may_split, until) = (grant.may_split, grant.until);
    let ended = read(&context, object.clone(), from, &cursor, grant).await;
    let error = match ended {
        Err(error) if error.kind() == ErrorKind::NotFound && context.is_from_inventory(&object.key) => {
            return Ok(context.forget(object.key).await);
        }
        Err(error) if error.kind() == ErrorKind::Changed && context.is_from_inventory(&object.key) => error,
        ended => return ended,
    };
    let now = match Box::pin(context.store.head(&object.key)).await {
        Ok(now) => now,
        Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(context.forget(object.key).await),
        Err(other) => return Err(other.with("stream", &context.stream.name)),
    };
    if now.etag == object.etag {
        return Err(error);
    }
    context.report.add_overwritten();
    context.outgoing.send(Event::Begin { object: now.clone(), from: Position::default() }).await;
    let grant = ReadGrant { may_split, until, reservation: CostReservation::default() };
    read(&context, now, Position::default(), &cursor, grant).await
}

async fn read(
    context: &Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    cursor: &Arc<Cursor>,
    grant: ReadGrant,
) -> Result<FileEnd> {
    match archive::is_archive(&context.stream, &object) {
        true => archive_members::read(Arc::clone(context), object, from, Arc::clone(cursor), grant).await,
        false => records::read(Arc::clone(context), object, from, grant).await,
    }
}
