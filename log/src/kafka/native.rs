//! What librdkafka can do and rdkafka does not offer: topic ids, changing one setting of a topic, and a partition's queue
//! that tells at which offset its end was reached. The only unsafe code of the project, and all of it is in this file.
//!
//! Rules that hold throughout: a pointer that librdkafka gives away is put into an [`Owned`] at once, which frees it once; a
//! pointer into something lives no longer than what it points into, in one function; nothing here calls back into Rust but
//! [`woken`], which neither blocks nor panics.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rdkafka::ClientContext;
use rdkafka::bindings::*;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::record::{Header, Offset, Record};

const NO_ERROR: rd_kafka_resp_err_t = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
const EOF: rd_kafka_resp_err_t = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF;

/// A topic as brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) id: Uuid,
    pub(super) partitions: u32,
    /// Made by Kafka for itself.
    pub(super) internal: bool,
}

/// A topic's name, and what brokers say of it.
pub(super) type Looked = (String, Result<Described, RDKafkaErrorCode>);

/// What was taken from a partition's queue.
#[derive(Debug, Default)]
pub(super) struct Drained {
    pub(super) records: Vec<Record>,
    /// The partition's end, where it was reached: that of committed transactions. Records may follow it.
    pub(super) end: Option<Offset>,
    /// Why fetching stopped, where it did.
    pub(super) error: Option<RDKafkaErrorCode>,
}

/// Something that librdkafka has given away, and how it is freed.
struct Owned<T> {
    ptr: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// None for null. The pointer must be this one's to free, with this function, and nobody else's.
    fn new(ptr: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(ptr).map(|ptr| Owned { ptr, free })
    }

    fn ptr(&self) -> *mut T {
        self.ptr.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was given a pointer that is ours to free with this function; it is freed here only, once.
        unsafe { (self.free)(self.ptr()) }
    }
}

/// Describes these topics, each for itself. Blocks for at most `timeout` and a little.
pub(super) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
    timeout: Duration,
) -> Result<Vec<Looked>, RDKafkaErrorCode> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: `pointers` holds as many pointers to C strings as it is long; librdkafka copies them.
    let topics = unsafe { rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    let topics = Owned::new(topics, rd_kafka_TopicCollection_destroy).ok_or(RDKafkaErrorCode::Fail)?;
    let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let rights = false;
    let event = request(client, operation, timeout, rights, |client, options, queue| {
        // SAFETY: all four are alive for the call, which copies what it keeps.
        unsafe { rd_kafka_DescribeTopics(client, topics.ptr(), options, queue) }
    })?;
    // SAFETY: the event is alive until the end of this function, and with it the array and everything in it.
    unsafe { Ok(descriptions(&event)?.iter().map(|topic| described(*topic)).collect()) }
}

/// What this user may do with a topic, by brokers that may be asked so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicRights {
    pub read: bool,
    pub write: bool,
    pub alter_configs: bool,
}

/// What this user may do with this topic. Blocks for at most `timeout` and a little.
pub(super) fn topic_rights<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
) -> Result<TopicRights, RDKafkaErrorCode> {
    let name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let mut pointers = [name.as_ptr()];
    // SAFETY: `pointers` holds as many pointers to C strings as it is long; librdkafka copies them.
    let topics = unsafe { rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    let topics = Owned::new(topics, rd_kafka_TopicCollection_destroy).ok_or(RDKafkaErrorCode::Fail)?;
    let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let rights = true;
    let event = request(client, operation, timeout, rights, |client, options, queue| {
        // SAFETY: all four are alive for the call, which copies what it keeps.
        unsafe { rd_kafka_DescribeTopics(client, topics.ptr(), options, queue) }
    })?;
    // SAFETY: the event is alive until the end of this function, and with it the descriptions and the array of `count`
    // operations of the first, which is null where there are none.
    unsafe {
        let topic = *descriptions(&event)?.first().ok_or(RDKafkaErrorCode::Fail)?;
        let error = rd_kafka_error_code(rd_kafka_TopicDescription_error(topic));
        if error != NO_ERROR {
            return Err(error.into());
        }
        let mut count = 0;
        let all = rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
        let all = if all.is_null() { &[] } else { std::slice::from_raw_parts(all, count) };
        use rd_kafka_AclOperation_t as Operation;
        Ok(TopicRights {
            read: all.contains(&Operation::RD_KAFKA_ACL_OPERATION_READ),
            write: all.contains(&Operation::RD_KAFKA_ACL_OPERATION_WRITE),
            alter_configs: all.contains(&Operation::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS),
        })
    }
}

/// The descriptions that an event holds.
///
/// # Safety
/// They live no longer than the event.
unsafe fn descriptions(
    event: &Owned<rd_kafka_event_t>,
) -> Result<&[*const rd_kafka_TopicDescription_t], RDKafkaErrorCode> {
    // SAFETY: the event is alive for as long as what is returned, and with it the result and its array of `count`
    // descriptions; the result is null for an event of another kind.
    unsafe {
        let result = rd_kafka_event_DescribeTopics_result(event.ptr());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let all = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        Ok(if all.is_null() { &[] } else { std::slice::from_raw_parts(all.cast_const().cast(), count) })
    }
}

/// # Safety
/// `topic` is a valid description for the time of the call.
unsafe fn described(topic: *const rd_kafka_TopicDescription_t) -> Looked {
    // SAFETY: what is read belongs to the description; an error that is null reads as none; an id is never null where
    // there is no error, and is checked all the same.
    unsafe {
        let name = CStr::from_ptr(rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
        let error = rd_kafka_error_code(rd_kafka_TopicDescription_error(topic));
        if error != NO_ERROR {
            return (name, Err(error.into()));
        }
        let id = rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return (name, Err(RDKafkaErrorCode::UnsupportedFeature));
        }
        let (most, least) = (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id));
        let mut partitions = 0;
        rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let described = Described {
            id: Uuid::from_u64_pair(most as u64, least as u64),
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
            internal: rd_kafka_TopicDescription_is_internal(topic) != 0,
        };
        (name, Ok(described))
    }
}

/// Changes these settings of a topic and leaves the others as they are. Blocks for at most `timeout` and a little.
pub(super) fn set_topic_configs<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    configs: &[(&str, &str)],
    timeout: Duration,
) -> Result<(), RDKafkaErrorCode> {
    let text = |text: &str| CString::new(text).map_err(|_| RDKafkaErrorCode::InvalidArgument);
    let topic = text(topic)?;
    // SAFETY: librdkafka copies the name.
    let resource =
        unsafe { rd_kafka_ConfigResource_new(rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, topic.as_ptr()) };
    let resource = Owned::new(resource, rd_kafka_ConfigResource_destroy).ok_or(RDKafkaErrorCode::Fail)?;
    for (name, value) in configs {
        let (name, value) = (text(name)?, text(value)?);
        let set = rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
        // SAFETY: the resource is alive, and librdkafka copies both strings. An error it gives is ours to free.
        let error = unsafe {
            rd_kafka_ConfigResource_add_incremental_config(resource.ptr(), name.as_ptr(), set, value.as_ptr())
        };
        if Owned::new(error, rd_kafka_error_destroy).is_some() {
            return Err(RDKafkaErrorCode::InvalidArgument);
        }
    }
    let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
    let rights = false;
    let event = request(client, operation, timeout, rights, |client, options, queue| {
        let mut resources = [resource.ptr()];
        // SAFETY: all are alive for the call, which copies what it keeps; the array holds one resource.
        unsafe { rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), 1, options, queue) }
    })?;
    // SAFETY: the event is alive until the end of this function, and with it the result and its array of `count` resources.
    unsafe {
        let result = rd_kafka_event_IncrementalAlterConfigs_result(event.ptr());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let all = rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
        let all = if all.is_null() { &[] } else { std::slice::from_raw_parts(all, count) };
        let errors = all.iter().map(|resource| rd_kafka_ConfigResource_error(*resource));
        errors.filter(|error| *error != NO_ERROR).map(|error| Err(error.into())).next().unwrap_or(Ok(()))
    }
}

/// Sends a request of the admin API and waits for its answer; one that describes may ask for `rights` as well.
fn request<C: ClientContext>(
    client: &Client<C>,
    operation: rd_kafka_admin_op_t,
    timeout: Duration,
    rights: bool,
    send: impl FnOnce(*mut rd_kafka_t, *const rd_kafka_AdminOptions_t, *mut rd_kafka_queue_t),
) -> Result<Owned<rd_kafka_event_t>, RDKafkaErrorCode> {
    const SLACK_MS: i32 = 500;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX - SLACK_MS).min(i32::MAX - SLACK_MS);
    let rk = client.native_ptr();
    // SAFETY: the client is alive for this whole function. A null buffer of length 0 for the error's text is allowed.
    let (options, queue) = unsafe {
        let options = rd_kafka_AdminOptions_new(rk, operation);
        let options = Owned::new(options, rd_kafka_AdminOptions_destroy).ok_or(RDKafkaErrorCode::Fail)?;
        let refused = rd_kafka_AdminOptions_set_request_timeout(options.ptr(), timeout_ms.max(1), ptr::null_mut(), 0);
        if refused != NO_ERROR {
            return Err(refused.into());
        }
        // An error that it gives is ours to free.
        let refused = if rights {
            rd_kafka_AdminOptions_set_include_authorized_operations(options.ptr(), 1)
        } else {
            ptr::null_mut()
        };
        if Owned::new(refused, rd_kafka_error_destroy).is_some() {
            return Err(RDKafkaErrorCode::InvalidArgument);
        }
        let queue = Owned::new(rd_kafka_queue_new(rk), rd_kafka_queue_destroy).ok_or(RDKafkaErrorCode::Fail)?;
        (options, queue)
    };
    send(rk, options.ptr(), queue.ptr());
    // SAFETY: the queue is alive; an event that it gives is ours to free.
    let event = unsafe { rd_kafka_queue_poll(queue.ptr(), timeout_ms + SLACK_MS) };
    let event = Owned::new(event, rd_kafka_event_destroy).ok_or(RDKafkaErrorCode::OperationTimedOut)?;
    // SAFETY: the event is alive.
    let error = unsafe { rd_kafka_event_error(event.ptr()) };
    if error == NO_ERROR { Ok(event) } else { Err(error.into()) }
}

/// Records are copied into pieces of memory of this size, or as large as one record.
const PIECE_BYTES: usize = 64 << 10;

/// One partition's fetched records, apart from those of others.
pub(super) struct PartitionQueue {
    queue: Owned<rd_kafka_queue_t>,
    /// The piece that records are copied into.
    piece: BytesMut,
    /// What [`woken`] is given: alive for as long as the queue may call it.
    _wake: Arc<Notify>,
    /// The queue must be gone before its client is. Dropped after this type's own `drop`.
    _consumer: Arc<dyn Any + Send + Sync>,
}

// SAFETY: librdkafka's queues may be used from any thread, and `drain` takes `&mut self`.
unsafe impl Send for PartitionQueue {}
// SAFETY: there is nothing to do with a `&PartitionQueue`.
unsafe impl Sync for PartitionQueue {}

/// What librdkafka calls, on a thread of its own, when a queue is no longer empty.
unsafe extern "C" fn woken(_: *mut rd_kafka_t, wake: *mut c_void) {
    // SAFETY: `PartitionQueue::of` passed a pointer to a `Notify` that lives until the callback has been taken away.
    let wake = unsafe { &*wake.cast::<Notify>() };
    wake.notify_one();
}

impl PartitionQueue {
    /// The queue of a partition. To be taken before the partition is assigned, or its first records go elsewhere. `wake` is
    /// notified whenever records come to the empty queue.
    pub(super) fn of<C: ConsumerContext + 'static>(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
        wake: &Arc<Notify>,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let wake = Arc::clone(wake);
        // SAFETY: the consumer is alive, and is kept alive by what is returned; the queue is ours to free. A null target
        // ends the forwarding of the queue to the consumer's own.
        let queue = unsafe {
            let queue = rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition);
            let queue = Owned::new(queue, rd_kafka_queue_destroy)?;
            rd_kafka_queue_forward(queue.ptr(), ptr::null_mut());
            rd_kafka_queue_cb_event_enable(queue.ptr(), Some(woken), Arc::as_ptr(&wake).cast_mut().cast());
            queue
        };
        let consumer: Arc<dyn Any + Send + Sync> = Arc::<BaseConsumer<C>>::clone(consumer);
        Some(PartitionQueue { queue, piece: BytesMut::new(), _wake: wake, _consumer: consumer })
    }

    /// Takes up to `max` of what has been fetched, waiting up to `timeout` for the first. What was fetched before a change of
    /// position is not among it.
    pub(super) fn drain(&mut self, max: usize, timeout: Duration) -> Drained {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut drained = Drained::default();
        let mut taken = 0;
        while taken < max {
            // One by one: the batch call takes the end of a partition for a record, and after the next rebalance librdkafka
            // goes on behind the record that comes to stand there.
            let wait_ms = if taken == 0 { timeout_ms } else { 0 };
            // SAFETY: the queue is alive; a message that it gives is ours to free.
            let message = unsafe { rd_kafka_consume_queue(self.queue.ptr(), wait_ms) };
            let Some(message) = Owned::new(message, rd_kafka_message_destroy) else { break };
            taken += 1;
            // SAFETY: the message is alive until the end of this turn of the loop.
            let read = unsafe { message.ptr.as_ref() };
            match read.err {
                // SAFETY: as above; this message is a record, for it has no error.
                NO_ERROR => drained.records.push(unsafe { record(read, &mut self.piece) }),
                EOF => drained.end = Some(Offset(read.offset)),
                error => drained.error = Some(error.into()),
            }
        }
        drained
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is alive. librdkafka calls `woken` under the queue's lock, which this takes too: after it nobody
        // is in `woken` for this queue, and nobody will be.
        unsafe { rd_kafka_queue_cb_event_enable(self.queue.ptr(), None, ptr::null_mut()) }
    }
}

/// The record that a message holds, its bytes copied once, beside those of others: who keeps some of them for long copies
/// them again, or keeps the whole piece.
///
/// # Safety
/// The message holds a record, and is alive for the call.
unsafe fn record(message: &rd_kafka_message_t, piece: &mut BytesMut) -> Record {
    // SAFETY: the message is alive; its key and payload are null or as long as it says; its headers are its own.
    unsafe {
        let (key, payload) = (slice(message.key, message.key_len), slice(message.payload, message.len));
        let headers = headers(message);
        let bytes = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let all = bytes(key) + bytes(payload) + headers.iter().map(|(_, value)| value.len()).sum::<usize>();
        if piece.capacity() < all {
            *piece = BytesMut::with_capacity(all.max(PIECE_BYTES));
        }
        let mut copied = |part: &[u8]| -> Bytes {
            piece.extend_from_slice(part);
            piece.split().freeze()
        };
        let (key, payload) = (key.map(&mut copied), payload.map(&mut copied));
        let name = |name: &CStr| name.to_string_lossy().into_owned();
        let headers = headers.iter().map(|(named, value)| Header { name: name(named), value: copied(value) }).collect();
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let timestamp_ms = rd_kafka_message_timestamp(message, &mut kind);
        Record { offset: Offset(message.offset), timestamp_ms, key, payload, headers }
    }
}

/// The names and values of a message's headers; a value that is null is empty.
///
/// # Safety
/// The message is alive for as long as what is returned.
unsafe fn headers(message: &rd_kafka_message_t) -> Vec<(&CStr, &[u8])> {
    let mut headers = ptr::null_mut();
    // SAFETY: the message is alive; the headers, if any, belong to it.
    if unsafe { rd_kafka_message_headers(message, &mut headers) } != NO_ERROR {
        return Vec::new();
    }
    let mut all = Vec::new();
    loop {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers are alive; past their last this answers with an error. A name is a C string, and a value null
        // or `size` long, both within the headers.
        unsafe {
            if rd_kafka_header_get_all(headers, all.len(), &mut name, &mut value, &mut size) != NO_ERROR {
                return all;
            }
            all.push((CStr::from_ptr(name), slice(value, size).unwrap_or_default()));
        }
    }
}

/// # Safety
/// `at` is null, or `len` bytes from it on live for `'a`.
unsafe fn slice<'a>(at: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!at.is_null()).then(|| unsafe { std::slice::from_raw_parts(at.cast::<u8>(), len) })
}
