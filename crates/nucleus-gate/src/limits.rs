//! Every limit of this crate, with its unit in its name.

use std::time::Duration;

/// Largest request body accepted from a client, in bytes. The provider's own limit is 32 MB.
pub const REQUEST_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Deepest nesting of arrays and objects in a request body.
pub const JSON_DEPTH_LEVELS: usize = 64;
/// Most values in one request body; bounds the memory a body of `[[],[],…` can claim.
pub const JSON_VALUES_COUNT: usize = 400_000;
/// Bodies that are read, parsed or sent at the same time, in KiB together; further ones wait.
pub const BODIES_IN_FLIGHT_KIB: usize = 128 * 1024;
/// Connections one pod may hold open to the gate.
pub const CONNECTIONS_COUNT: usize = 64;
/// Request head a client may send, in bytes (request line and all header fields).
pub const REQUEST_HEAD_BYTES: usize = 64 * 1024;
/// Header fields a client may send.
pub const REQUEST_HEADERS_COUNT: usize = 64;
/// Time for a client to send its head; a connection kept open between two requests may be idle that long, too.
pub const REQUEST_HEAD_TIME: Duration = Duration::from_secs(120);
/// Time for a client to send its whole body.
pub const REQUEST_BODY_TIME: Duration = Duration::from_secs(60);
/// Time to reach the upstream: DNS, TCP, proxy and TLS together.
pub const CONNECT_TIME: Duration = Duration::from_secs(20);
/// Time from a request to the head of its response; long answers without streaming take minutes.
pub const RESPONSE_HEAD_TIME: Duration = Duration::from_secs(600);
/// Longest silence within a response body; the provider sends `ping` events far more often.
pub const RESPONSE_IDLE_TIME: Duration = Duration::from_secs(180);
/// Longest time for a whole response body, however lively; the longest answers of models take minutes.
pub const RESPONSE_TOTAL_TIME: Duration = Duration::from_secs(3600);
/// Time a client may leave a finished chunk unread before the call counts as aborted.
pub const CLIENT_STALL_TIME: Duration = Duration::from_secs(300);
/// Largest response body passed on, in bytes.
pub const RESPONSE_BODY_BYTES: u64 = 64 * 1024 * 1024;
/// Largest response head the upstream may send, in bytes.
pub const RESPONSE_HEAD_BYTES: usize = 64 * 1024;
/// Longest line of an event stream, in bytes; usage beyond it cannot be read.
pub const STREAM_LINE_BYTES: usize = 4 * 1024 * 1024;
/// Unused upstream connections kept.
pub const IDLE_CONNECTIONS_COUNT: usize = 8;
/// Age at which an unused upstream connection is dropped.
pub const IDLE_CONNECTION_TIME: Duration = Duration::from_secs(30);
/// Head of a proxy's answer to CONNECT, in bytes.
pub const PROXY_HEAD_BYTES: usize = 8 * 1024;
/// How long `serve` waits, after its shutdown, for open calls to be booked.
pub const SHUTDOWN_TIME: Duration = Duration::from_secs(5);
/// Longest secret accepted, in bytes.
pub const SECRET_BYTES: usize = 4096;
/// Largest answer to a request for new tokens, in bytes.
pub const TOKEN_ANSWER_BYTES: usize = 256 * 1024;
/// Time for new tokens to come.
pub const TOKEN_TIME: Duration = Duration::from_secs(30);
/// How long before its end a token is renewed.
pub const TOKEN_LEAD_TIME: Duration = Duration::from_secs(300);
/// Longest rendering of something the agent wrote, in a refusal or a note, in characters.
pub const SHOWN_CHARS: usize = 160;
/// Largest DNS query read, in bytes.
pub const DNS_QUERY_BYTES: usize = 4096;
/// Distinct names the stub reports before it only counts.
pub const DNS_NAMES_COUNT: usize = 1024;
/// Names reported per second.
pub const DNS_REPORTS_PER_SECOND: u32 = 20;
/// Concurrent TCP connections of the DNS stub.
pub const DNS_TCP_CONNECTIONS_COUNT: usize = 16;
/// Time for one query over TCP.
pub const DNS_TCP_TIME: Duration = Duration::from_secs(5);

/// Longest name of a package, in bytes; a name is what a pod can send.
pub const PACKAGE_NAME_BYTES: usize = 100;
/// Longest version, or name of a package's file, in bytes.
pub const PACKAGE_FILE_BYTES: usize = 200;
/// Longest path of a file at its registry, in bytes.
pub const PACKAGE_PLACE_BYTES: usize = 1024;
/// Largest list of versions, in bytes.
pub const PACKAGE_LISTING_BYTES: usize = 32 * 1024 * 1024;
/// Largest list, `go.mod` or answer of the checksum database of Go, in bytes; each line of a list is remembered.
pub const PACKAGE_MODULE_BYTES: usize = 4 * 1024 * 1024;
/// Largest file of a package, in bytes.
pub const PACKAGE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Lists of versions read at the same time.
pub const PACKAGE_LISTINGS_COUNT: usize = 8;
/// Packages whose files are remembered.
pub const PACKAGE_NAMES_COUNT: usize = 4096;
/// Versions of Go modules that are remembered.
pub const PACKAGE_VERSIONS_COUNT: usize = 256 * 1024;
/// Names no registry knew, in one task; such names carry what a pod likes.
pub const PACKAGE_UNKNOWN_COUNT: usize = 64;
/// Longest silence of a registry.
pub const PACKAGE_WAIT_TIME: Duration = Duration::from_secs(60);

const _: () = assert!(REQUEST_BODY_BYTES <= BODIES_IN_FLIGHT_KIB * 1024, "one body must fit");
const _: () = assert!(REQUEST_HEAD_BYTES >= 8192, "hyper needs a buffer of at least 8 KiB");
const _: () = assert!(RESPONSE_HEAD_BYTES >= 8192, "hyper needs a buffer of at least 8 KiB");
