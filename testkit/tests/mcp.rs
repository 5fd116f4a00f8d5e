//! The door's protocol: both eras, calls taken back, pictures, a crowd, and clients outside of any pod.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what broke by ending there"
)]

#[path = "mcp/cancel.rs"]
mod cancel;
#[path = "mcp/crowd.rs"]
mod crowd;
#[path = "mcp/eras.rs"]
mod eras;
#[path = "mcp/http.rs"]
mod http;
#[path = "mcp/outside.rs"]
mod outside;
#[path = "mcp/picture.rs"]
mod picture;
#[path = "mcp/stage.rs"]
mod stage;
#[path = "mcp/wait.rs"]
mod wait;
