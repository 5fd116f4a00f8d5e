//! Skipping a room does not compile.

/// Control: the whole walk compiles, so that the cases below fail for their own reason.
#[path = "compile_fail/walk.rs"]
mod walk;

#[test]
fn skipping_a_room_does_not_compile() {
    walk::main();
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/skip_*.rs");
    cases.compile_fail("tests/compile_fail/forge_*.rs");
    cases.compile_fail("tests/compile_fail/reuse_*.rs");
}
