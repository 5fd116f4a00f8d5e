//! Skipping a room does not compile.

#[test]
fn skipping_a_room_does_not_compile() {
    let cases = trybuild::TestCases::new();
    // The whole walk compiles, so that the failures below fail for their own reason.
    cases.pass("tests/compile_fail/walk.rs");
    cases.compile_fail("tests/compile_fail/skip_*.rs");
    cases.compile_fail("tests/compile_fail/forge_*.rs");
    cases.compile_fail("tests/compile_fail/reuse_*.rs");
}
