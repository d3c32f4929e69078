/*
 * Recognition follows llama.cpp's substring tests in their order, which is what files in the wild were checked with;
 * a template is never parsed. The formats give the same text as llama.cpp's renderer, except those that
 * follow the models' own templates: zephyr ends a turn with the file's eos text, mistral-v7-tekken has no spaces,
 * deepseek3 no empty line behind the system message, and llama2-chat is the template of Llama 2 itself.
 */
#include "text/chat_formats.h"

#include <string.h>

#define DEEPSEEK_END "<｜end▁of▁sentence｜>"

static const tnn__chat_format formats[] = {
    {.name = "chatml",
     .any_role = {"<|im_start|>", "\n"},
     .user = {"", "<|im_end|>\n"},
     .answer_header = "<|im_start|>assistant\n",
     .answer_end = "<|im_end|>",
     .answer_after = "\n"},
    {.name = "llama3",
     .any_role = {"<|start_header_id|>", "<|end_header_id|>\n\n"},
     .user = {"", "<|eot_id|>"},
     .answer_header = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .answer_end = "<|eot_id|>",
     .trim = TNN__TRIM_ALL},
    {.name = "phi3",
     .any_role = {"<|", "|>\n"},
     .user = {"", "<|end|>\n"},
     .answer_header = "<|assistant|>\n",
     .answer_end = "<|end|>",
     .answer_after = "\n"},
    {.name = "phi4",
     .any_role = {"<|im_start|>", "<|im_sep|>"},
     .user = {"", "<|im_end|>"},
     .answer_header = "<|im_start|>assistant<|im_sep|>",
     .answer_end = "<|im_end|>"},
    {.name = "zephyr",
     .any_role = {"<|", "|>\n"},
     .user = {"", NULL},
     .answer_header = "<|assistant|>\n",
     .answer_after = "\n"},
    {.name = "gemma",
     .any_role = {"<start_of_turn>", "\n"},
     .user = {"", "<end_of_turn>\n"},
     .system = {"", "\n\n"},
     .answer_header = "<start_of_turn>model\n",
     .answer_end = "<end_of_turn>",
     .answer_after = "\n",
     .trim = TNN__TRIM_ALL,
     .system_in_user = true},
    {.name = "llama2",
     .first_turn = "[INST] ",
     .turn = "[INST] ",
     .system = {"", "\n"},
     .user = {"", " [/INST]"},
     .answer_end = "</s>"},
    {.name = "llama2-sys",
     .first_turn = "[INST] ",
     .turn = "[INST] ",
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"", " [/INST]"},
     .answer_end = "</s>"},
    {.name = "llama2-sys-bos",
     .first_turn = "[INST] ",
     .turn = "<s>[INST] ",
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"", " [/INST]"},
     .answer_end = "</s>"},
    {.name = "llama2-sys-strip",
     .first_turn = "[INST] ",
     .turn = "[INST] ",
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"", " [/INST]"},
     .answer_end = "</s>",
     .trim = TNN__TRIM_ALL},
    {.name = "llama2-chat",
     .first_turn = "[INST] ",
     .turn = "<s>[INST] ",
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"", " [/INST]"},
     .answer_lead = " ",
     .answer_end = " </s>",
     .trim = TNN__TRIM_ALL},
    {.name = "mistral-v1",
     .first_turn = " [INST] ",
     .turn = " [INST] ",
     .system = {"", "\n\n"},
     .user = {"", " [/INST]"},
     .answer_lead = " ",
     .answer_end = "</s>"},
    {.name = "mistral-v3",
     .first_turn = "[INST] ",
     .turn = "[INST] ",
     .system = {"", "\n\n"},
     .user = {"", "[/INST]"},
     .answer_lead = " ",
     .answer_end = "</s>",
     .trim = TNN__TRIM_ANSWERS},
    {.name = "mistral-v3-tekken",
     .first_turn = "[INST]",
     .turn = "[INST]",
     .system = {"", "\n\n"},
     .user = {"", "[/INST]"},
     .answer_end = "</s>"},
    {.name = "mistral-v7",
     .system = {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"},
     .user = {"[INST] ", "[/INST]"},
     .answer_lead = " ",
     .answer_end = "</s>"},
    {.name = "mistral-v7-tekken",
     .system = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     .user = {"[INST]", "[/INST]"},
     .answer_end = "</s>"},
    {.name = "deepseek",
     .system = {"", ""},
     .user = {"### Instruction:\n", "\n"},
     .answer_header = "### Response:\n",
     .answer_end = "\n<|EOT|>",
     .answer_after = "\n"},
    {.name = "deepseek2",
     .system = {"", "\n\n"},
     .user = {"User: ", "\n\n"},
     .answer_header = "Assistant:",
     .answer_lead = " ",
     .answer_end = DEEPSEEK_END},
    {.name = "deepseek3",
     .system = {"", ""},
     .user = {"<｜User｜>", ""},
     .answer_header = "<｜Assistant｜>",
     .answer_end = DEEPSEEK_END},
    {.name = "command-r",
     .system = {"<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
     .user = {"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
     .answer_header = "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
     .answer_end = "<|END_OF_TURN_TOKEN|>",
     .trim = TNN__TRIM_ALL},
    {.name = "vicuna",
     .system = {"", "\n\n"},
     .user = {"USER: ", "\n"},
     .answer_header = "ASSISTANT:",
     .answer_lead = " ",
     .answer_end = "</s>",
     .answer_after = "\n"},
    {.name = "vicuna-orca",
     .system = {"SYSTEM: ", "\n"},
     .user = {"USER: ", "\n"},
     .answer_header = "ASSISTANT:",
     .answer_lead = " ",
     .answer_end = "</s>",
     .answer_after = "\n"},
};

/* Tests in order; the first row all of whose texts occur decides. */
static const struct {
    const char *texts[4];
    const char *name;
} tests[] = {
    {{"<|im_start|>", "<|im_sep|>"}, "phi4"},
    {{"<|im_start|>", "<end_of_utterance>"}, "smolvlm"},
    {{"<|im_start|>"}, "chatml"},
    {{"[INST]", "[SYSTEM_PROMPT]", "'[INST]'"}, "mistral-v7-tekken"},
    {{"[INST]", "[SYSTEM_PROMPT]", "\"[INST]\""}, "mistral-v7-tekken"},
    {{"[INST]", "[SYSTEM_PROMPT]"}, "mistral-v7"},
    {{"[INST]", "' [INST] ' + system_message"}, "mistral-v1"},
    {{"[INST]", "[AVAILABLE_TOOLS]", " [INST]"}, "mistral-v1"},
    {{"[INST]", "[AVAILABLE_TOOLS]", "\"[INST]\""}, "mistral-v3-tekken"},
    {{"[INST]", "[AVAILABLE_TOOLS]"}, "mistral-v3"},
    {{"bos_token + '[INST]", "<<SYS>>", "content.strip() + ' ' + eos_token"}, "llama2-chat"},
    {{"[INST]", "content.strip()"}, "llama2-sys-strip"},
    {{"[INST]", "bos_token + '[INST]"}, "llama2-sys-bos"},
    {{"[INST]", "<<SYS>>"}, "llama2-sys"},
    {{"[INST]"}, "llama2"},
    {{"[gMASK]sop"}, "chatglm3"},
    {{"[gMASK]<sop>"}, "chatglm4"},
    {{"<|assistant|>", "<|end|>"}, "phi3"},
    /* eos behind the user's message too */
    {{"<|assistant|>", "'<|user|>\n' + message['content'] + eos_token"}, "zephyr"},
    {{"<|assistant|>", "'<|user|>\\n' + message['content'] + eos_token"}, "zephyr"},
    {{"<|assistant|>", "<|user|>"}, "falcon3"},
    {{"<|user|>", "<|endoftext|>"}, "zephyr"},
    {{"bos_token + message['role']"}, "monarch"},
    {{"<start_of_turn>"}, "gemma"},
    {{"'\\n\\nAssistant: ' + eos_token"}, "orion"},
    {{"GPT4 Correct "}, "openchat"},
    {{"USER: ", "ASSISTANT: ", "SYSTEM: "}, "vicuna-orca"},
    {{"USER: ", "ASSISTANT: "}, "vicuna"},
    {{"### Instruction:", "<|EOT|>"}, "deepseek"},
    {{"<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"}, "command-r"},
    {{"<|start_header_id|>", "<|end_header_id|>"}, "llama3"},
    {{"<用户>"}, "minicpm"},
    {{"'Assistant: ' + message['content'] + eos_token"}, "deepseek2"},
    {{"<｜Assistant｜>", "<｜User｜>", "<｜end▁of▁sentence｜>"}, "deepseek3"},
    {{"[|system|]", "[|assistant|]", "[|endofturn|]"}, "exaone3"},
    {{"rwkv-world"}, "rwkv-world"},
    {{"<|start_of_role|>"}, "granite"},
    {{"additional_special_tokens[0] + message['content']"}, "gigachat"},
    {{"<|role_start|>"}, "megrez"},
    {{"<role>ASSISTANT</role>"}, "bailing"},
    {{"<|header_start|>", "<|header_end|>"}, "llama4"},
    {{"<|endofuserprompt|>"}, "dots1"},
    {{"<|startoftext|>", "<|extra_4|>"}, "hunyuan-moe"},
    {{"<|im_middle|>", "<|im_end|>"}, "kimi-k2"},
    {{"'Assistant: '  + message['content'] + '<|separator|>"}, "grok-2"},
    {{"<|start|>", "<|channel|>"}, "gpt-oss"},
    {{"<seed:bos>"}, "seed_oss"},
};

const char *tnn__text_find(const char *text, size_t size, const char *part) {
    size_t n = strlen(part);
    while (size >= n) {
        const char *first = memchr(text, part[0], size - n + 1);
        if (!first || memcmp(first, part, n) == 0) return first;
        size -= (size_t)(first - text) + 1;
        text = first + 1;
    }
    return NULL;
}

const tnn__chat_format *tnn__chat_format_at(size_t i) {
    return i < sizeof formats / sizeof formats[0] ? &formats[i] : NULL;
}

const tnn__chat_format *tnn__chat_format_named(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strlen(formats[i].name) == size && memcmp(formats[i].name, name, size) == 0) return &formats[i];
    }
    return NULL;
}

const tnn__chat_format *tnn__chat_format_detect(const char *jinja, size_t size, const char **other) {
    *other = NULL;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        bool all = true;
        for (size_t k = 0; k < 4 && tests[i].texts[k] && all; k++)
            all = tnn__text_find(jinja, size, tests[i].texts[k]) != NULL;
        if (!all) continue;
        const tnn__chat_format *format = tnn__chat_format_named(tests[i].name, strlen(tests[i].name));
        if (!format) *other = tests[i].name;
        return format;
    }
    return NULL;
}
