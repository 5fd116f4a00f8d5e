//! Test fixtures, fakes and black-box suites. Nothing here ships.

pub mod anthropic;
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test without a browser can say nothing of a page"
)]
pub mod browser;
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose host cannot be set up can say nothing"
)]
pub mod host;
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test whose server says nothing can say nothing"
)]
pub mod mcp;
pub mod mock;
pub mod registry;
pub mod script;
#[expect(clippy::expect_used, reason = "an agent that does not do its part ends its test")]
pub mod stage;
