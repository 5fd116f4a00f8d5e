//! Test fixtures, fakes and black-box suites. Nothing here ships.

pub mod anthropic;
pub mod gemini;
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose host cannot be set up can say nothing"
)]
pub mod host;
pub mod mock;
pub mod openai;
pub mod script;
