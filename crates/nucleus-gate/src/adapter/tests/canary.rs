//! Canaries: whoever changes what passes must change these lists too, and say why.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::data::DataText;
use super::*;

#[derive(Deserialize)]
struct Keys {
    object: BTreeMap<String, KeepKeys>,
    #[serde(default)]
    union: BTreeMap<String, OptionKeys>,
}

#[derive(Deserialize)]
struct KeepKeys {
    keep: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct OptionKeys {
    options: BTreeMap<String, String>,
}

fn names(map: &BTreeMap<String, String>) -> String {
    map.keys().cloned().collect::<Vec<_>>().join(" ")
}

fn keys(provider: Provider) -> Keys {
    toml::from_str(provider.data()).unwrap()
}

#[test]
fn every_data_file_is_of_the_reviewed_version() {
    for provider in Provider::ALL {
        let data: DataText = toml::from_str(provider.data()).unwrap();
        assert_eq!(data.version, "2026-11-20", "{provider}");
        assert_eq!(Adapter::new(provider, false).unwrap().version(), "2026-11-20/2026-11-20");
        assert_eq!(provider.name().parse::<Provider>().unwrap(), provider);
    }
    assert!("bedrock".parse::<Provider>().is_err());
}

#[test]
fn what_passes_to_anthropic_is_the_reviewed_list() {
    let top = keys(Provider::Anthropic);
    assert_eq!(
        names(&top.object["request"].keep),
        "cache_control context_management max_tokens messages model output_config output_format \
         stop_sequences stream system temperature thinking tool_choice tools top_k top_p"
    );
    assert_eq!(
        names(&top.union["block"].options),
        "document image redacted_thinking text thinking tool_addition tool_reference tool_removal \
         tool_result tool_use"
    );
    assert_eq!(
        names(&top.union["tool"].options),
        "bash_20250124 custom memory_20250818 text_editor_20250124 text_editor_20250429 \
         text_editor_20250728"
    );
    assert_eq!(names(&top.union["image_source"].options), "base64");
    assert_eq!(names(&top.union["document_source"].options), "base64 content text");
    let data: DataText = toml::from_str(Provider::Anthropic.data()).unwrap();
    let power = [
        "mcp",
        "files",
        "skills",
        "code-execution",
        "web",
        "fallback",
        "fast",
        "agent",
        "container",
        "compact",
        "inline",
        "advisor",
        "thread",
    ];
    for beta in data.beta.unwrap().pass {
        assert!(power.iter().all(|word| !beta.contains(word)), "{beta}");
    }
}

#[test]
fn what_passes_to_openai_is_the_reviewed_list() {
    let top = keys(Provider::OpenAi);
    assert_eq!(
        names(&top.object["request"].keep),
        "background include input instructions max_output_tokens model parallel_tool_calls \
         prompt_cache_key reasoning store stream stream_options temperature text tool_choice tools \
         top_logprobs top_p truncation"
    );
    assert_eq!(
        names(&top.union["tool"].options),
        "apply_patch custom function local_shell namespace tool_search"
    );
    assert_eq!(
        names(&top.union["item"].options),
        "additional_tools apply_patch_call apply_patch_call_output custom_tool_call \
         custom_tool_call_output function_call function_call_output local_shell_call \
         local_shell_call_output message reasoning tool_search_call tool_search_output"
    );
    assert_eq!(top.object["tool_search"].keep["execution"], "=client");
    assert_eq!(top.object["request"].keep["store"], "=false");
    let chat = keys(Provider::OpenAiChat);
    assert_eq!(
        names(&chat.object["request"].keep),
        "frequency_penalty function_call functions logit_bias logprobs max_completion_tokens \
         max_tokens messages model n parallel_tool_calls presence_penalty prompt_cache_key \
         reasoning_effort response_format seed stop store stream temperature tool_choice tools \
         top_logprobs top_p verbosity"
    );
    assert_eq!(names(&chat.union["tool"].options), "custom function");
    assert_eq!(names(&chat.union["part"].options), "file image_url refusal text");
}

#[test]
fn what_passes_to_gemini_is_the_reviewed_list() {
    let top = keys(Provider::Gemini);
    assert_eq!(
        names(&top.object["request"].keep),
        "contents generationConfig safetySettings systemInstruction toolConfig tools"
    );
    assert_eq!(names(&top.object["tool"].keep), "functionDeclarations");
    assert_eq!(
        names(&top.object["part"].keep),
        "functionCall functionResponse inlineData mediaResolution text thought thoughtSignature"
    );
}
