//! S3's operations on the store.

use std::collections::BTreeMap;
use std::ops;
use std::sync::Arc;

use http::Extensions;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::access::MayList;
use crate::checksums::{Known, verify};
use crate::content::Content;
use crate::failure::with_detail;
use crate::list_page::{MAX_KEYS, Rows, encoder, limit, token, url_encode};
use crate::listing::{self, Query};
use crate::multipart::{Upload, UploadedPart};
use crate::objects::{Conditions, Facts, Selected, body, check_write, read_body, select, timestamp};
use crate::store::{Bucket as StoredBucket, BucketOptions, Object as StoredObject, Store, md5_hex, unix_seconds};

/// The implementation of S3 over a [`Store`].
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) region: String,
}

impl Api {
    fn bucket(&self, name: &str) -> S3Result<Arc<StoredBucket>> {
        self.store.bucket(name).ok_or_else(|| S3ErrorCode::NoSuchBucket.into())
    }

    /// Finds an object. Who may not list is not told that it is missing.
    fn object(&self, bucket: &str, key: &str, extensions: &Extensions) -> S3Result<Arc<StoredObject>> {
        let bucket = self.bucket(bucket)?;
        let may_list = extensions.get::<MayList>().is_none_or(|may| may.0);
        let missing = if may_list { S3ErrorCode::NoSuchKey } else { S3ErrorCode::AccessDenied };
        bucket.get(key).ok_or_else(|| missing.into())
    }

    fn region_of(&self, bucket: &StoredBucket) -> String {
        bucket.options().region.unwrap_or_else(|| self.region.clone())
    }

    fn charged(&self, bucket: &str) -> Option<RequestCharged> {
        let pays = self.store.bucket(bucket)?.options().requester_pays;
        pays.then(|| RequestCharged::from_static(RequestCharged::REQUESTER))
    }

    fn now_s(&self) -> i64 {
        unix_seconds(self.store.now())
    }

    /// The object of a GET or HEAD with the conditions checked.
    fn current(&self, request: &S3Request<GetObjectInput>) -> S3Result<Arc<StoredObject>> {
        let input = &request.input;
        let object = self.object(&input.bucket, &input.key, &request.extensions)?;
        let conditions = Conditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
            if_modified_since: input.if_modified_since.clone(),
            if_unmodified_since: input.if_unmodified_since.clone(),
        };
        conditions.check(&object)?;
        Ok(object)
    }

    /// The response to a GET or HEAD without a body, and the range of the body.
    fn described(
        &self,
        object: &StoredObject,
        input: GetObjectInput,
    ) -> S3Result<(S3Response<GetObjectOutput>, ops::Range<u64>)> {
        let selected = select(object, input.range, input.part_number)?;
        let checksum = told_checksum(object, input.checksum_mode, &selected);
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: signed(selected.range.end - selected.range.start),
            content_range: selected.content_range,
            parts_count: selected.parts_count,
            content_type: content_type(object),
            content_encoding: object.content_encoding.clone(),
            e_tag: etag(object),
            last_modified: Some(timestamp(object.modified_s)),
            metadata: metadata(object),
            storage_class: storage_class_header(object),
            restore: restore(object),
            request_charged: self.charged(&input.bucket),
            ..GetObjectOutput::default()
        };
        let mut response = response(output, checksum.as_ref());
        response.extensions.insert(Facts::of(object));
        Ok((response, selected.range))
    }

    /// Adds a part to an upload that is not complete.
    fn put_part(&self, bucket: &str, upload_id: &str, key: &str, number: i32, part: UploadedPart) -> S3Result<()> {
        let bucket = self.bucket(bucket)?;
        open_upload(&mut bucket.uploads(), upload_id, key)?.parts.insert(number, part);
        Ok(())
    }

    /// The source of a copy with its conditions checked.
    fn copy_source(&self, source: &CopySource, conditions: Conditions) -> S3Result<Arc<StoredObject>> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented));
        };
        let object = self.object(bucket, key, &Extensions::new())?;
        match conditions.check(&object) {
            // A copy answers 412 where a GET answers 304.
            Err(error) if *error.code() == S3ErrorCode::NotModified => Err(S3ErrorCode::PreconditionFailed.into()),
            checked => checked,
        }?;
        if object.archived() { Err(archived(&object)) } else { Ok(object) }
    }
}

fn archived(object: &StoredObject) -> S3Error {
    with_detail(S3ErrorCode::InvalidObjectState, &format!("<StorageClass>{}</StorageClass>", object.storage_class))
}

fn etag(object: &StoredObject) -> Option<ETag> {
    Some(ETag::Strong(object.etag.clone()))
}

/// S3 names every class but the usual one.
fn storage_class_header(object: &StoredObject) -> Option<StorageClass> {
    (object.storage_class != "STANDARD").then(|| StorageClass::from(object.storage_class.to_string()))
}

fn content_type(object: &StoredObject) -> Option<String> {
    Some(object.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned()))
}

fn metadata(object: &StoredObject) -> Option<Metadata> {
    (!object.metadata.is_empty()).then(|| object.metadata.clone().into_iter().collect())
}

fn restore(object: &StoredObject) -> Option<String> {
    let text = "ongoing-request=\"false\", expiry-date=\"Fri, 31 Dec 2100 00:00:00 GMT\"";
    object.restored.then(|| text.to_owned())
}

/// The checksum for a reader who asks for it and reads the whole object.
fn told_checksum(object: &StoredObject, mode: Option<ChecksumMode>, selected: &Selected) -> Option<Known> {
    let asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED) && selected.content_range.is_none();
    asked.then(|| object.checksum.clone()).flatten()
}

/// A response with the checksum in its headers.
fn response<T>(output: T, checksum: Option<&Known>) -> S3Response<T> {
    let mut response = S3Response::new(output);
    if let Some(checksum) = checksum {
        checksum.insert_into(&mut response.headers);
    }
    response
}

/// A HEAD is a GET without a body.
fn as_get(input: HeadObjectInput) -> GetObjectInput {
    GetObjectInput {
        bucket: input.bucket,
        key: input.key,
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
        range: input.range,
        part_number: input.part_number,
        checksum_mode: input.checksum_mode,
        ..GetObjectInput::default()
    }
}

fn without_body(get: GetObjectOutput) -> HeadObjectOutput {
    HeadObjectOutput {
        accept_ranges: get.accept_ranges,
        content_length: get.content_length,
        content_range: get.content_range,
        parts_count: get.parts_count,
        content_type: get.content_type,
        content_encoding: get.content_encoding,
        e_tag: get.e_tag,
        last_modified: get.last_modified,
        metadata: get.metadata,
        storage_class: get.storage_class,
        restore: get.restore,
        request_charged: get.request_charged,
        ..HeadObjectOutput::default()
    }
}

fn signed(length: u64) -> Option<i64> {
    Some(i64::try_from(length).unwrap_or(i64::MAX))
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        let limit = limit(input.max_keys)?;
        let wrong_token = || s3_error!(InvalidArgument, "The continuation token provided is incorrect");
        let after = match &input.continuation_token {
            Some(token) => Some(token::read(token).ok_or_else(wrong_token)?),
            None => input.start_after.clone(),
        };
        let BucketOptions { list_order, page_keys, .. } = bucket.options();
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref().unwrap_or(""),
            after: after.as_deref().unwrap_or(""),
            limit: usize::try_from(limit).unwrap_or(0).min(page_keys.unwrap_or(usize::MAX)),
        };
        let restore_status = input.optional_object_attributes.as_ref().is_some_and(|wanted| !wanted.is_empty());
        let page = listing::list_in(list_order, &bucket, query, input.continuation_token.is_some());
        let next = page.truncated.then(|| page.entries.last().map(|last| token::write(last.name()))).flatten();
        let mut response = S3Response::new(ListObjectsV2Output {
            key_count: Some(i32::try_from(page.entries.len()).unwrap_or(i32::MAX)),
            is_truncated: Some(page.truncated),
            next_continuation_token: next,
            prefix: Some(encode(query.prefix)),
            delimiter: input.delimiter.as_deref().map(encode),
            start_after: input.start_after.as_deref().map(encode),
            continuation_token: input.continuation_token,
            max_keys: Some(limit),
            encoding_type: input.encoding_type,
            request_charged: self.charged(&input.bucket),
            name: Some(input.bucket),
            ..ListObjectsV2Output::default()
        });
        response.extensions.insert(Rows::of(&page, encode, restore_status));
        Ok(response)
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        let limit = limit(input.max_keys)?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref().unwrap_or(""),
            after: input.marker.as_deref().unwrap_or(""),
            limit: usize::try_from(limit).unwrap_or(0),
        };
        let page = listing::list(&bucket, query);
        // Without a delimiter the last key is the marker, and S3 does not say it again.
        let says_next = page.truncated && !query.delimiter.is_empty();
        let next = says_next.then(|| page.entries.last().map(|last| encode(last.name()))).flatten();
        let mut response = S3Response::new(ListObjectsOutput {
            is_truncated: Some(page.truncated),
            next_marker: next,
            prefix: Some(encode(query.prefix)),
            delimiter: input.delimiter.as_deref().map(encode),
            marker: Some(encode(query.after)),
            max_keys: Some(limit),
            encoding_type: input.encoding_type,
            request_charged: self.charged(&input.bucket),
            name: Some(input.bucket),
            ..ListObjectsOutput::default()
        });
        response.extensions.insert(Rows::of(&page, encode, false));
        Ok(response)
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let object = self.current(&request)?;
        if object.archived() {
            return Err(archived(&object));
        }
        let (mut response, range) = self.described(&object, request.input)?;
        response.output.body = Some(body(&object, range));
        Ok(response)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let request = request.map_input(as_get);
        let object = self.current(&request)?;
        let (response, _) = self.described(&object, request.input)?;
        Ok(response.map_output(without_body))
    }

    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let bytes = read_body(request.input.body.take()).await?;
        let checksum = verify(&request, &bytes)?;
        let input = request.input;
        let mut object = StoredObject::new(Content::Stored(bytes.clone()), md5_hex(&bytes), self.now_s());
        set_storage_class(&mut object, input.storage_class);
        describe(&mut object, input.content_type, input.content_encoding, input.metadata);
        let output = PutObjectOutput {
            e_tag: etag(&object),
            request_charged: self.charged(&input.bucket),
            ..PutObjectOutput::default()
        };
        object.checksum.clone_from(&checksum);
        let facts = Facts::of(&object);
        insert(&bucket, &input.key, object, input.if_match, input.if_none_match)?;
        let mut response = response(output, checksum.as_ref());
        response.extensions.insert(facts);
        Ok(response)
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let source = self.copy_source(
            &input.copy_source,
            Conditions {
                if_match: input.copy_source_if_match,
                if_none_match: input.copy_source_if_none_match,
                if_modified_since: input.copy_source_if_modified_since,
                if_unmodified_since: input.copy_source_if_unmodified_since,
            },
        )?;
        let mut object = StoredObject::clone(&source);
        object.modified_s = self.now_s();
        object.storage_class = input.storage_class.map_or("STANDARD".into(), |class| class.as_str().to_owned().into());
        // A copy is one piece again, whatever its source was.
        if !source.part_sizes.is_empty() {
            object.etag = md5_hex(&source.content.to_bytes());
            object.part_sizes.clear();
            object.checksum = None;
        }
        if input.metadata_directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE) {
            describe(&mut object, input.content_type, input.content_encoding, input.metadata);
        }
        let result = CopyObjectResult {
            e_tag: etag(&object),
            last_modified: Some(timestamp(object.modified_s)),
            ..CopyObjectResult::default()
        };
        self.bucket(&input.bucket)?.insert(&input.key, object);
        let output = CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        self.bucket(&input.bucket)?.remove(&input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let quiet = input.delete.quiet.unwrap_or(false);
        let mut deleted = Vec::new();
        for object in input.delete.objects {
            bucket.remove(&object.key);
            if !quiet {
                deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
            }
        }
        let output = DeleteObjectsOutput { deleted: Some(deleted), ..DeleteObjectsOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let mut object = StoredObject::new(Content::from(""), String::new(), self.now_s());
        set_storage_class(&mut object, input.storage_class);
        describe(&mut object, input.content_type, input.content_encoding, input.metadata);
        let mut uploads = bucket.uploads();
        let upload_id = self.store.next_upload_id();
        let full_object = input.checksum_type.as_ref().is_some_and(|kind| kind.as_str() == ChecksumType::FULL_OBJECT);
        let upload = Upload { key: input.key.clone(), object, parts: BTreeMap::new(), full_object };
        uploads.insert(upload_id.clone(), upload);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload_id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, mut request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        // A body for a bucket that does not exist is not read.
        self.bucket(&request.input.bucket)?;
        check_part_number(request.input.part_number)?;
        let bytes = read_body(request.input.body.take()).await?;
        let part = UploadedPart::new(bytes.clone(), self.now_s(), verify(&request, &bytes)?);
        let input = request.input;
        let output = UploadPartOutput { e_tag: Some(ETag::Strong(part.etag.clone())), ..UploadPartOutput::default() };
        let response = response(output, part.checksum.as_ref());
        self.put_part(&input.bucket, &input.upload_id, &input.key, input.part_number, part)?;
        Ok(response)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        check_part_number(input.part_number)?;
        let source = self.copy_source(
            &input.copy_source,
            Conditions {
                if_match: input.copy_source_if_match,
                if_none_match: input.copy_source_if_none_match,
                if_modified_since: input.copy_source_if_modified_since,
                if_unmodified_since: input.copy_source_if_unmodified_since,
            },
        )?;
        let range = input.copy_source_range.as_deref().map(Range::parse).transpose();
        let range = range.map_err(|_| s3_error!(InvalidArgument, "the copy source range is not a range"))?;
        let selected = select(&source, range, None)?;
        let part = UploadedPart::new(source.content.slice(selected.range), self.now_s(), None);
        let result = CopyPartResult {
            e_tag: Some(ETag::Strong(part.etag.clone())),
            last_modified: Some(timestamp(part.modified_s)),
            ..CopyPartResult::default()
        };
        self.put_part(&input.bucket, &input.upload_id, &input.key, input.part_number, part)?;
        let output = UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let mut uploads = bucket.uploads();
        let upload = open_upload(&mut uploads, &input.upload_id, &input.key)?;
        let marker = input.part_number_marker.unwrap_or(0);
        let limit = limit(input.max_parts)?;
        let mut parts: Vec<Part> = upload.parts.range(marker.saturating_add(1)..).map(listed_part).collect();
        let page_parts = usize::try_from(limit).unwrap_or(0);
        let truncated = parts.len() > page_parts;
        parts.truncate(page_parts);
        Ok(S3Response::new(ListPartsOutput {
            is_truncated: Some(truncated),
            max_parts: Some(limit),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            part_number_marker: Some(marker),
            parts: Some(parts),
            storage_class: Some(StorageClass::from(upload.object.storage_class.to_string())),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut uploads: Vec<MultipartUpload> = bucket
            .uploads()
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(&prefix))
            .map(|(id, upload)| MultipartUpload {
                key: Some(encode(&upload.key)),
                upload_id: Some(id.clone()),
                initiated: Some(timestamp(upload.object.modified_s)),
                storage_class: Some(StorageClass::from(upload.object.storage_class.to_string())),
                ..MultipartUpload::default()
            })
            .collect();
        uploads.sort_by(|left, right| (&left.key, &left.upload_id).cmp(&(&right.key, &right.upload_id)));
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: Some(encode(&prefix)),
            is_truncated: Some(false),
            max_uploads: Some(MAX_KEYS),
            encoding_type: input.encoding_type,
            uploads: Some(uploads),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut uploads = bucket.uploads();
        let object = open_upload(&mut uploads, &input.upload_id, &input.key)?.complete(&named)?;
        let (e_tag, checksum) = (etag(&object), object.checksum.clone());
        insert(&bucket, &input.key, object, input.if_match, input.if_none_match)?;
        uploads.remove(&input.upload_id);
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, url_encode(&input.key))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag,
            ..CompleteMultipartUploadOutput::default()
        };
        if let Some(checksum) = checksum {
            checksum.fill(&mut output);
        }
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let mut uploads = bucket.uploads();
        open_upload(&mut uploads, &input.upload_id, &input.key)?;
        uploads.remove(&input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let input = request.input;
        if self.store.bucket(&input.bucket).is_some() {
            return Err(S3ErrorCode::BucketAlreadyOwnedByYou.into());
        }
        let constraint = input.create_bucket_configuration.and_then(|chosen| chosen.location_constraint);
        let region = constraint.map(|constraint| constraint.as_str().to_owned());
        self.store.create_bucket(&input.bucket, BucketOptions { region, ..BucketOptions::default() });
        let output = CreateBucketOutput { location: Some(format!("/{}", input.bucket)) };
        Ok(S3Response::new(output))
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let query = Query { prefix: "", delimiter: "", after: "", limit: 1 };
        if !listing::list(&bucket, query).entries.is_empty() {
            return Err(S3ErrorCode::BucketNotEmpty.into());
        }
        self.store.remove_bucket(&request.input.bucket);
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let output = HeadBucketOutput { bucket_region: Some(self.region_of(&bucket)), ..HeadBucketOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let region = self.region_of(&*self.bucket(&request.input.bucket)?);
        // S3 leaves the name of its oldest region out.
        let location_constraint = (region != "us-east-1").then(|| BucketLocationConstraint::from(region));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name| Bucket { name: Some(name), creation_date: Some(timestamp(0)), ..Bucket::default() };
        let buckets = self.store.bucket_names().into_iter().map(bucket).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() }))
    }
}

/// Stores an object if the conditions of the request hold.
fn insert(
    bucket: &StoredBucket,
    key: &str,
    object: StoredObject,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<()> {
    bucket.insert_if(key, object, |current| check_write(current, if_match.as_ref(), if_none_match.as_ref()))
}

fn set_storage_class(object: &mut StoredObject, class: Option<StorageClass>) {
    if let Some(class) = class {
        object.storage_class = class.as_str().to_owned().into();
    }
}

/// Sets what a writer says about an object.
fn describe(
    object: &mut StoredObject,
    content_type: Option<String>,
    content_encoding: Option<String>,
    metadata: Option<Metadata>,
) {
    object.content_type = content_type;
    object.content_encoding = stored_encoding(content_encoding);
    object.metadata = metadata.unwrap_or_default().into_iter().collect();
}

/// `Content-Encoding` without `aws-chunked`, which is the framing of a request and not the object's.
fn stored_encoding(encoding: Option<String>) -> Option<String> {
    let encoding = encoding?;
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

fn open_upload<'a>(uploads: &'a mut BTreeMap<String, Upload>, upload_id: &str, key: &str) -> S3Result<&'a mut Upload> {
    uploads.get_mut(upload_id).filter(|upload| upload.key == key).ok_or_else(|| S3ErrorCode::NoSuchUpload.into())
}

fn listed_part((number, part): (&i32, &UploadedPart)) -> Part {
    Part {
        part_number: Some(*number),
        e_tag: Some(ETag::Strong(part.etag.clone())),
        size: signed(part.bytes.len() as u64),
        last_modified: Some(timestamp(part.modified_s)),
        ..Part::default()
    }
}
