use super::*;

const BOUNDS: Bounds = Bounds { prompt_tokens: 1_000_000, output_tokens: 10_000 };

const START: &str = r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":7,"output_tokens":1,"cache_creation_input_tokens":100,"cache_read_input_tokens":50,"cache_creation":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":40},"inference_geo":"us"}}}"#;

fn stream(events: &[&str]) -> Result<(Usage, bool), Unbelieved> {
    let text: String = events.iter().map(|e| format!("event: x\r\ndata: {e}\r\n\r\n")).collect();
    // Every split of the bytes must read the same; 7 and 1 cut through lines and characters.
    let results = [text.len().max(1), 7, 1].map(|size| {
        let mut meter = Meter::stream(Provider::Anthropic);
        text.as_bytes().chunks(size).for_each(|chunk| meter.feed(chunk));
        meter.finish(&BOUNDS)
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    results[0]
}

const DELTA: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hé"}}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn a_complete_stream_gives_start_and_final_counts() {
    let (usage, us) = stream(&[START, DELTA, END, STOP]).unwrap();
    assert!(us);
    assert_eq!(usage.input_tokens, 7);
    assert_eq!(usage.cache_write_5m_tokens, 60);
    assert_eq!(usage.cache_write_1h_tokens, 40);
    assert_eq!(usage.cache_read_tokens, 50);
    assert_eq!(usage.output_tokens, 9);
    assert_eq!(usage.prompt_tokens(), 157);
    assert_eq!(usage.uncached_input_tokens(), 107);
}

#[test]
fn counts_never_shrink() {
    let lower = END.replace("9", "0");
    assert_eq!(stream(&[START, DELTA, END, &lower, STOP]).unwrap().0.output_tokens, 9);
}

#[test]
fn what_cannot_be_believed_is_told_apart() {
    let long = DELTA.replace("hé", &"x".repeat(2000));
    let zero =
        r#"{"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":1}}}"#;
    let error = r#"{"type":"error","error":{"type":"overloaded_error"}}"#;
    for (events, why) in [
        (vec![START, DELTA, END], Unbelieved::Aborted),
        (vec![START, DELTA], Unbelieved::Aborted),
        (vec![], Unbelieved::Aborted),
        (vec![DELTA, STOP], Unbelieved::Missing),
        (vec![START, "{broken", END, STOP], Unbelieved::Missing),
        (vec![START, error, STOP], Unbelieved::StreamError),
        (vec![START, &long, END, STOP], Unbelieved::TooSmall),
        (vec![zero, END, STOP], Unbelieved::TooSmall),
    ] {
        assert_eq!(stream(&events), Err(why), "{events:?}");
    }
}

#[test]
fn a_line_without_end_does_not_grow_and_is_not_believed() {
    let mut meter = Meter::stream(Provider::Anthropic);
    meter.feed(b"data: ");
    for _ in 0..9 {
        meter.feed(&vec![b'x'; STREAM_LINE_BYTES / 8]);
    }
    let Form::Stream(line) = &meter.form else { panic!("a stream") };
    assert!(line.len() <= STREAM_LINE_BYTES);
    assert_eq!(meter.finish(&BOUNDS), Err(Unbelieved::Missing));
}

#[test]
fn objects_are_read_whole() {
    let object = |text: &str| {
        let mut meter = Meter::object(Provider::Anthropic);
        text.as_bytes().chunks(5).for_each(|chunk| meter.feed(chunk));
        meter.finish(&BOUNDS)
    };
    let good = r#"{"content":[{"type":"text"}],"usage":{"input_tokens":3,"output_tokens":2}}"#;
    assert_eq!(object(good).unwrap().0.output_tokens, 2);
    assert_eq!(object(&good.replace("2}", "0}")), Err(Unbelieved::TooSmall));
    assert_eq!(object(r#"{"content":[]}"#), Err(Unbelieved::Missing));
    assert_eq!(object("{\"usage\":"), Err(Unbelieved::Missing));
}

#[test]
fn no_answer_however_long_makes_the_meter_grow() {
    for provider in Provider::ALL {
        let mut meter = Meter::stream(provider);
        let chunk = vec![b'x'; 64 * 1024];
        for _ in 0..160 {
            meter.feed(&chunk);
            let held = match &meter.form {
                Form::Stream(held) | Form::Object(held) => held.capacity(),
            };
            assert!(held <= 2 * STREAM_LINE_BYTES, "{held}");
        }
        assert_eq!(meter.finish(&BOUNDS), Err(Unbelieved::Missing));
    }
}

#[test]
fn what_was_written_to_a_cache_is_booked_at_the_dearer_price_unless_it_is_counted() {
    let usage = |details: &str| {
        let mut meter = Meter::object(Provider::OpenAi);
        meter.feed(format!(r#"{{"status":"completed","output":[],"usage":{{"input_tokens":100,"output_tokens":9,"input_tokens_details":{details}}}}}"#).as_bytes());
        meter.finish(&BOUNDS).unwrap().0
    };
    let counted = usage(r#"{"cached_tokens":30,"cache_write_tokens":50}"#);
    assert_eq!((counted.input_tokens, counted.cache_write_5m_tokens), (20, 50));
    assert_eq!((counted.cache_read_tokens, counted.prompt_tokens()), (30, 100));
    let silent = usage(r#"{"cached_tokens":30}"#);
    assert_eq!((silent.input_tokens, silent.cache_write_5m_tokens), (0, 70));
    assert_eq!(silent.uncached_input_tokens(), counted.uncached_input_tokens());
}

#[test]
fn reports_that_contradict_themselves_are_not_believed() {
    let whole = |provider, text: &str| {
        let mut meter = Meter::object(provider);
        meter.feed(text.as_bytes());
        meter.finish(&BOUNDS).map(|(usage, _)| usage.output_tokens)
    };
    let more_cached = r#"{"status":"completed","usage":{"input_tokens":1,"output_tokens":9,"input_tokens_details":{"cached_tokens":30}}}"#;
    assert_eq!(whole(Provider::OpenAi, more_cached), Err(Unbelieved::TooSmall));
    let failed = r#"{"status":"failed","usage":{"input_tokens":1,"output_tokens":9}}"#;
    assert_eq!(whole(Provider::OpenAi, failed), Err(Unbelieved::StreamError));
    let thoughts = r#"{"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":70}}"#;
    assert_eq!(whole(Provider::Gemini, thoughts), Ok(70));
    let blocked =
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":5}}"#;
    assert_eq!(whole(Provider::Gemini, blocked), Ok(0));
}
