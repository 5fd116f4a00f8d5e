//! The adapters of OpenAI and Gemini: what their agents send passes, and each refusal has a neighbour that passes.

use super::*;

fn try_prepare(provider: Provider, path: &str, body: &str) -> Result<Prepared, Refusal> {
    let adapter = Adapter::new(provider, false).unwrap();
    let uri = path.parse().unwrap();
    let found = adapter.route(&Method::POST, &uri)?;
    adapter.prepare(&found, body.as_bytes(), &PriceTable::builtin().unwrap())
}

fn path(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "/v1/messages",
        Provider::OpenAi => "/v1/responses",
        Provider::OpenAiChat => "/v1/chat/completions",
        Provider::Gemini => "/v1beta/models/gemini-3.8-flash:generateContent",
    }
}

/// What leaves, or the code of the refusal.
fn outcome(provider: Provider, body: &str) -> Result<String, String> {
    let prepared = try_prepare(provider, path(provider), body).map_err(|r| r.code().to_owned())?;
    let tokens = prepared.call.max_output_tokens;
    let adapter = Adapter::new(provider, false).unwrap();
    Ok(String::from_utf8(adapter.body(prepared, tokens)).unwrap())
}

fn passes(provider: Provider, body: &str) -> String {
    outcome(provider, body).unwrap_or_else(|code| panic!("{code}: {body}"))
}

fn refused(provider: Provider, body: &str) -> String {
    outcome(provider, body).err().unwrap_or_else(|| panic!("passed: {body}"))
}

/// A Responses request with extra members and extra items.
fn responses(extra: &str, items: &str) -> String {
    format!(
        r#"{{"model":"gpt-5.5","input":[{{"type":"message","role":"user","content":[{{"type":"input_text","text":"hi"}}]}}{items}]{extra}}}"#
    )
}

fn chat(extra: &str, parts: &str) -> String {
    format!(
        r#"{{"model":"gpt-5.5","messages":[{{"role":"user","content":[{{"type":"text","text":"hi"}}{parts}]}}]{extra}}}"#
    )
}

fn gemini(extra: &str, parts: &str) -> String {
    format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"hi"}}{parts}]}}]{extra}}}"#)
}

#[test]
fn what_codex_sends_passes_with_its_order_and_its_opaque_parts() {
    let body = r#"{"model":"gpt-5.5","stream":true,"input":[{"type":"message","id":"msg_1","role":"developer","content":[{"type":"input_text","text":"s"}]},{"type":"additional_tools","id":"t","role":"developer","tools":[{"type":"namespace","name":"n","description":"d","tools":[{"type":"custom","name":"apply_patch","description":"d","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}]}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"gAAA"},{"type":"function_call","status":"completed","id":"fc_0","name":"read","namespace":"mcp__nucleus","arguments":"{\"path\": \"a\"}","call_id":"c"},{"type":"function_call_output","id":"o","call_id":"c","output":[{"type":"input_text","text":"r"}]},{"type":"custom_tool_call","call_id":"d","name":"apply_patch","input":"x"},{"type":"custom_tool_call_output","call_id":"d","output":"ok"},{"type":"local_shell_call","call_id":"e","action":{"type":"exec","command":["ls"]},"status":"completed"}],"tools":[{"type":"function","name":"f","description":"d","strict":false,"parameters":{"type":"object","file_id":{"store":true}}},{"type":"tool_search","execution":"client","description":"d","parameters":{}},{"type":"local_shell"}],"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"low"},"max_output_tokens":32000}"#;
    assert_eq!(passes(Provider::OpenAi, body), body);
    let with_metadata =
        body.replace(r#""store":false"#, r#""client_metadata":{"a":"b"},"store":false"#);
    assert_eq!(passes(Provider::OpenAi, &with_metadata), body);
    let prepared = try_prepare(Provider::OpenAi, "/v1/responses", &with_metadata).unwrap();
    assert!(prepared.stream && prepared.unknown.is_empty(), "{:?}", prepared.unknown);
}

#[test]
fn openai_requests_are_never_stored_and_always_limited() {
    let sent = passes(Provider::OpenAi, &responses("", ""));
    assert!(
        sent.contains(r#""store":false"#) && sent.contains(r#""max_output_tokens":32000"#),
        "{sent}"
    );
    let sent = passes(Provider::OpenAi, &responses(r#","max_output_tokens":128000"#, ""));
    assert!(sent.contains(r#""max_output_tokens":32000"#), "{sent}");
    let sent = passes(
        Provider::OpenAiChat,
        &chat(r#","stream":true,"stream_options":{"include_usage":false}"#, ""),
    );
    assert!(sent.contains(r#""stream_options":{"include_usage":true}"#), "{sent}");
    assert!(
        sent.contains(r#""max_completion_tokens":32000"#) && !sent.contains(r#""max_tokens""#),
        "{sent}"
    );
    let sent = passes(Provider::OpenAiChat, &chat(r#","max_tokens":9"#, ""));
    assert!(
        sent.contains(r#""max_tokens":9"#) && !sent.contains("max_completion_tokens"),
        "{sent}"
    );
    let both = chat(r#","max_tokens":900,"max_completion_tokens":70"#, "");
    let sent = passes(Provider::OpenAiChat, &both);
    assert!(sent.contains(r#""max_completion_tokens":70"#) && !sent.contains("900"), "{sent}");
    let sent = passes(
        Provider::Gemini,
        &gemini(
            r#","generationConfig":{"maxOutputTokens":99999,"thinkingConfig":{"thinkingBudget":64000}}"#,
            "",
        ),
    );
    assert!(
        sent.contains(r#""maxOutputTokens":32000"#) && sent.contains(r#""thinkingBudget":16000"#),
        "{sent}"
    );
    assert!(passes(Provider::Gemini, &gemini("", "")).contains(r#""maxOutputTokens":32000"#));
}

#[test]
fn tools_that_run_at_the_provider_are_refused_and_client_tools_of_the_same_name_pass() {
    for tool in [
        "web_search",
        "web_search_preview",
        "file_search",
        "code_interpreter",
        "computer_use_preview",
        "computer",
        "image_generation",
        "mcp",
        "shell",
        "hosted_shell",
        "programmatic_tool_calling",
    ] {
        let own = format!(r#"{{"type":"function","name":"{tool}","parameters":{{}}}}"#);
        let theirs = format!(r#"{{"type":"{tool}"}}"#);
        let top = |tool: &str| responses(&format!(r#","tools":[{tool}]"#), "");
        let nested = |tool: &str| {
            responses(
                &format!(r#","tools":[{{"type":"namespace","name":"n","tools":[{tool}]}}]"#),
                "",
            )
        };
        let added = |tool: &str| {
            responses(
                "",
                &format!(r#",{{"type":"additional_tools","role":"developer","tools":[{tool}]}}"#),
            )
        };
        for place in [top(&theirs), nested(&theirs), added(&theirs)] {
            assert_eq!(refused(Provider::OpenAi, &place), "gate.tool.provider_side");
        }
        for place in [top(&own), nested(&own), added(&own)] {
            passes(Provider::OpenAi, &place);
        }
        let in_chat = |tool: &str| chat(&format!(r#","tools":[{tool}]"#), "");
        assert_eq!(refused(Provider::OpenAiChat, &in_chat(&theirs)), "gate.tool.provider_side");
        passes(
            Provider::OpenAiChat,
            &in_chat(&format!(r#"{{"type":"function","function":{{"name":"{tool}"}}}}"#)),
        );
    }
    let server = r#","tools":[{"type":"tool_search","execution":"server"}]"#;
    assert_eq!(refused(Provider::OpenAi, &responses(server, "")), "gate.shape");
    assert_eq!(
        refused(Provider::OpenAi, &responses(&server.replace(r#","execution":"server""#, ""), "")),
        "gate.missing"
    );
    passes(Provider::OpenAi, &responses(&server.replace("server", "client"), ""));
}

#[test]
fn tools_of_gemini_and_searches_of_chat_are_refused() {
    for tool in [
        "googleSearch",
        "google_search",
        "googleSearchRetrieval",
        "urlContext",
        "url_context",
        "codeExecution",
        "code_execution",
        "fileSearch",
        "googleMaps",
        "computerUse",
        "enterpriseWebSearch",
    ] {
        let tools = |name: &str| gemini(&format!(r#","tools":[{{"{name}":{{}}}}]"#), "");
        assert_eq!(refused(Provider::Gemini, &tools(tool)), "gate.tool.provider_side", "{tool}");
    }
    passes(
        Provider::Gemini,
        &gemini(r#","tools":[{"functionDeclarations":[{"name":"googleSearch"}]}]"#, ""),
    );
    let search = r#","web_search_options":{}"#;
    assert_eq!(refused(Provider::OpenAiChat, &chat(search, "")), "gate.tool.provider_side");
    let choice =
        |kind: &str| responses(&format!(r#","tool_choice":{{"type":"{kind}","name":"f"}}"#), "");
    assert_eq!(refused(Provider::OpenAi, &choice("web_search")), "gate.variant.unlisted");
    passes(Provider::OpenAi, &choice("function"));
}

#[test]
fn remote_content_is_refused_and_the_same_content_inline_passes() {
    let image = |url: &str| {
        responses(
            "",
            &format!(
                r#",{{"role":"user","content":[{{"type":"input_image","image_url":"{url}"}}]}}"#
            ),
        )
    };
    let output = |url: &str| {
        responses(
            "",
            &format!(
                r#",{{"type":"function_call_output","call_id":"c","output":[{{"type":"input_image","image_url":"{url}"}}]}}"#
            ),
        )
    };
    let in_chat =
        |url: &str| chat("", &format!(r#",{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#));
    for url in [
        "https://x/y.png",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "gs://b/o",
        " data:image/png;base64,aGk=",
        "",
    ] {
        assert_eq!(refused(Provider::OpenAi, &image(url)), "gate.source.remote", "{url}");
        assert_eq!(refused(Provider::OpenAi, &output(url)), "gate.source.remote", "{url}");
        assert_eq!(refused(Provider::OpenAiChat, &in_chat(url)), "gate.source.remote", "{url}");
    }
    let inline = "data:image/png;base64,aGk=";
    passes(Provider::OpenAi, &image(inline));
    passes(Provider::OpenAi, &output(inline));
    passes(Provider::OpenAiChat, &in_chat(inline));
    for (member, good) in [
        (r#""file_id":"file-1""#, false),
        (r#""file_url":"https://x/y.pdf""#, false),
        (r#""filename":"a","file_data":"https://x""#, false),
        (r#""filename":"a","file_data":"data:application/pdf;base64,aGk=""#, true),
    ] {
        let body = responses(
            "",
            &format!(
                r#",{{"role":"user","content":[{{"type":"input_file","file_data":"data:,x",{member}}}]}}"#
            ),
        );
        let body = if member.contains("file_data") {
            body.replace(r#""file_data":"data:,x","#, "")
        } else {
            body
        };
        if good {
            passes(Provider::OpenAi, &body);
        } else {
            assert_eq!(refused(Provider::OpenAi, &body), "gate.source.remote", "{member}");
        }
        let in_chat =
            chat("", &format!(r#",{{"type":"file","file":{{"file_data":"data:,x",{member}}}}}"#));
        let in_chat = if member.contains("file_data") {
            in_chat.replace(r#""file_data":"data:,x","#, "")
        } else {
            in_chat
        };
        assert_eq!(outcome(Provider::OpenAiChat, &in_chat).is_ok(), good, "{member}");
    }
}

#[test]
fn remote_parts_of_gemini_are_refused_and_inline_ones_pass() {
    let part = |part: &str| gemini("", &format!(",{part}"));
    for remote in [
        r#"{"fileData":{"fileUri":"https://x/y"}}"#,
        r#"{"file_data":{"file_uri":"https://x/y"}}"#,
        r#"{"functionResponse":{"name":"f","parts":[{"fileData":{"fileUri":"gs://x"}}]}}"#,
        r#"{"inlineData":{"mimeType":"audio/wav","data":"aGk="}}"#,
    ] {
        assert_eq!(refused(Provider::Gemini, &part(remote)), "gate.source.remote", "{remote}");
    }
    passes(Provider::Gemini, &part(r#"{"inlineData":{"mimeType":"image/png","data":"aGk="}}"#));
    assert_eq!(
        refused(Provider::Gemini, &part(r#"{"executableCode":{"language":"PYTHON","code":"1"}}"#)),
        "gate.tool.provider_side"
    );
}

#[test]
fn what_the_provider_keeps_or_does_on_its_own_is_refused() {
    for (extra, code) in [
        (r#","store":true"#, "gate.field.provider_side"),
        (r#","background":true"#, "gate.field.provider_side"),
        (r#","previous_response_id":"resp_1""#, "gate.field.provider_side"),
        (r#","conversation":"conv_1""#, "gate.field.provider_side"),
        (r#","prompt":{"id":"pmpt_1"}"#, "gate.field.provider_side"),
        (r#","context_management":[{"type":"compaction"}]"#, "gate.field.provider_side"),
        (r#","reasoning":{"mode":"pro"}"#, "gate.field.provider_side"),
        (r#","container":"cntr_1""#, "gate.field.provider_side"),
    ] {
        assert_eq!(refused(Provider::OpenAi, &responses(extra, "")), code, "{extra}");
    }
    passes(
        Provider::OpenAi,
        &responses(
            r#","store":false,"background":false,"previous_response_id":null,"reasoning":{"effort":"low"}"#,
            "",
        ),
    );
    for (item, code) in [
        (r#",{"type":"item_reference","id":"msg_1"}"#, "gate.block.unlisted"),
        // Without a type, an item that has only an id is a reference as well.
        (r#",{"id":"msg_1"}"#, "gate.missing"),
        (r#",{"type":null,"id":"msg_1"}"#, "gate.missing"),
        (r#",{"type":"web_search_call","id":"ws_1","status":"completed"}"#, "gate.block.unlisted"),
        (r#",{"type":"mcp_approval_response","approve":true}"#, "gate.block.unlisted"),
        (r#",{"type":"compaction","encrypted_content":"x"}"#, "gate.block.unlisted"),
    ] {
        assert_eq!(refused(Provider::OpenAi, &responses("", item)), code, "{item}");
    }
    passes(Provider::OpenAi, &responses("", r#",{"id":"msg_1","role":"assistant","content":"x"}"#));
    for (extra, code) in [
        (r#","store":true"#, "gate.field.provider_side"),
        (r#","n":2"#, "gate.shape"),
        (r#","modalities":["audio"]"#, "gate.field.provider_side"),
        (r#","models":["a"]"#, "gate.field.provider_side"),
    ] {
        assert_eq!(refused(Provider::OpenAiChat, &chat(extra, "")), code, "{extra}");
    }
    passes(Provider::OpenAiChat, &chat(r#","store":false,"n":1"#, ""));
    for (extra, code) in [
        (r#","cachedContent":"cachedContents/1""#, "gate.source.remote"),
        (r#","generationConfig":{"candidateCount":2}"#, "gate.shape"),
        (r#","generationConfig":{"max_output_tokens":999999}"#, "gate.field.provider_side"),
        (r#","generationConfig":{"responseModalities":["IMAGE"]}"#, "gate.field.provider_side"),
    ] {
        assert_eq!(refused(Provider::Gemini, &gemini(extra, "")), code, "{extra}");
    }
    passes(Provider::Gemini, &gemini(r#","generationConfig":{"candidateCount":1}"#, ""));
}

#[test]
fn models_without_a_price_are_refused_wherever_they_are_named() {
    let body = responses("", "").replace("gpt-5.5", "gpt-99");
    assert_eq!(refused(Provider::OpenAi, &body), "gate.model.no_price");
    let at = |path: &str| match try_prepare(Provider::Gemini, path, &gemini("", "")) {
        Ok(_) => "passed".to_owned(),
        Err(refusal) => refusal.code().to_owned(),
    };
    assert_eq!(at("/v1beta/models/gemini-99:generateContent"), "gate.model.no_price");
    assert_eq!(at("/v1beta/models/gemini-3.8-flash:generateContent"), "passed");
    assert_eq!(at("/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"), "passed");
    assert_eq!(at("/v1beta/models/gemini-3.8-flash:countTokens"), "passed");
    for path in [
        "/v1beta/models/gemini-3.8-flash:streamGenerateContent",
        "/v1beta/models/gemini-3.8-flash:generateContent?key=k",
        "/v1beta/models/gemini-3.8-flash:batchGenerateContent",
        "/v1beta/models/../files:generateContent",
        "/v1beta/models/a/b:generateContent",
        "/v1beta/models/:generateContent",
        "/v1beta/tunedModels/x:generateContent",
        "/v1beta/models/gemini-3.8%2dflash:generateContent",
    ] {
        assert_eq!(at(path), "gate.route", "{path}");
    }
    for path in [
        "/v1/responses/resp_1",
        "/v1/responses/compact",
        "/v1/responses?a=b",
        "/v1/files",
        "/v1/embeddings",
        "/responses",
    ] {
        assert!(try_prepare(Provider::OpenAi, path, &responses("", "")).is_err(), "{path}");
    }
}

#[test]
fn upstreams_with_a_path_of_their_own_keep_it() {
    let target = |provider: Provider, upstream: &str, path: &str| {
        let adapter = Adapter::new(provider, false).unwrap();
        let uri = path.parse().unwrap();
        let found = adapter.route(&Method::POST, &uri).unwrap();
        adapter.target(&Origin::parse(upstream).unwrap(), &found)
    };
    let (openai, chat) = (Provider::OpenAi, Provider::OpenAiChat);
    assert_eq!(target(openai, "https://api.openai.com/v1", "/v1/responses"), "/v1/responses");
    assert_eq!(target(openai, "http://127.0.0.1:9", "/v1/responses"), "/v1/responses");
    let router = "https://openrouter.ai/api/v1";
    assert_eq!(target(chat, router, "/v1/chat/completions"), "/api/v1/chat/completions");
    assert_eq!(
        target(
            Provider::Gemini,
            "http://[::1]:9",
            "/v1beta/models/m:streamGenerateContent?alt=sse"
        ),
        "/v1beta/models/m:streamGenerateContent?alt=sse"
    );
    let anthropic =
        target(Provider::Anthropic, "https://proxy.example/claude", "/v1/messages?beta=true");
    assert_eq!(anthropic, "/claude/v1/messages?beta=true");
}
