/*
 * From a file to a chat format: recognising the template, and the few things a model's own template adds to its family,
 * which are read from literals of the Jinja text.
 */
#include "text/chat_template.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "gguf/str.h"

/* A longer literal is not taken for a message, nor what is further from the prompt for its end; keeps the search linear
 * in the template. */
#define MESSAGE_MAX_BYTES 4096

static const char *find(tnn_gguf_str text, const char *part) {
    return tnn__text_find(text.data, text.size, part);
}

static tnn_gguf_str rest_from(tnn_gguf_str text, const char *from) {
    return (tnn_gguf_str){from, text.size - (size_t)(from - text.data)};
}

/* Copies a literal's text with its escapes resolved. */
static tnn_status copy_unescaped(tnn_chat_template *c, tnn_gguf_str from, tnn_gguf_str *to, tnn_error *err) {
    char *copy = tnn__arena_push(&c->arena, from.size + 1);
    if (!copy) return tnn__fail_nomem(err, "a system message", from.size + 1);
    size_t n = 0;
    for (size_t i = 0; i < from.size; i++) {
        char ch = from.data[i];
        if (ch == '\\' && i + 1 < from.size) {
            ch = from.data[++i];
            if (ch == 'n') ch = '\n';
            if (ch == 't') ch = '\t';
        }
        copy[n++] = ch;
    }
    *to = (tnn_gguf_str){copy, n};
    return TNN_OK;
}

/*
 * The system message that a ChatML template has as a literal, for conversations that bring none: all that stands
 * between
 * "<|im_start|>system\n" and "<|im_end|>" within one string, or within the text outside of braces.
 */
static tnn_status find_default_system(tnn_chat_template *c, tnn_gguf_str jinja, tnn_error *err) {
    static const char opening[] = "<|im_start|>system";
    const char *at;
    for (tnn_gguf_str rest = jinja; (at = find(rest, opening)) != NULL; rest = rest_from(rest, at + 1)) {
        tnn_gguf_str text = rest_from(jinja, at + strlen(opening));
        if (tnn__str_starts(text, "\n")) {
            text = rest_from(text, text.data + 1);
        } else if (tnn__str_starts(text, "\\n")) {
            text = rest_from(text, text.data + 2);
        } else {
            continue;
        }
        if (text.size > MESSAGE_MAX_BYTES) text.size = MESSAGE_MAX_BYTES;
        char before = at > jinja.data ? at[-1] : '\n';
        char stop = before == '\'' || before == '"' ? before : '{';
        const char *end = find(text, "<|im_end|>");
        size_t size = end ? (size_t)(end - text.data) : 0;
        if (size > 0 && !memchr(text.data, stop, size)) {
            return copy_unescaped(c, (tnn_gguf_str){text.data, size}, &c->default_system, err);
        }
    }
    return TNN_OK;
}

/* Llama 3.1 and 3.2 open every conversation with two dates; the second is a literal where there is no clock. */
static tnn_status find_llama3_preamble(tnn_chat_template *c, tnn_gguf_str jinja, tnn_error *err) {
    static const char opening[] = "date_string = \"", knowledge[] = "Cutting Knowledge Date: December 2023";
    const char *at = find(jinja, opening);
    if (!at || !find(jinja, knowledge)) return TNN_OK;
    tnn_gguf_str date = rest_from(jinja, at + strlen(opening));
    const char *end = memchr(date.data, '"', date.size < 32 ? date.size : 32);
    if (!end) return TNN_OK;
    char text[128];
    int n = snprintf(text, sizeof text, "%s\nToday Date: %.*s\n\n", knowledge, (int)(end - date.data), date.data);
    c->preamble.data = tnn__arena_strndup(&c->arena, text, (size_t)n);
    c->preamble.size = (size_t)n;
    return c->preamble.data ? TNN_OK : tnn__fail_nomem(err, "a chat template", (size_t)n);
}

/* The literal of a string that begins with opening, behind *from, which is moved behind it; *to stays if none does. */
static tnn_status find_literal(tnn_chat_template *c, tnn_gguf_str *from, const char *opening, tnn_gguf_str *to,
                               tnn_error *err) {
    const char *at = find(*from, opening);
    if (!at || at == from->data) return TNN_OK;
    tnn_gguf_str text = rest_from(*from, at);
    const char *end = memchr(at, at[-1], text.size < MESSAGE_MAX_BYTES ? text.size : MESSAGE_MAX_BYTES);
    if (!end) return TNN_OK;
    *from = rest_from(*from, end);
    return copy_unescaped(c, (tnn_gguf_str){at, (size_t)(end - at)}, to, err);
}

static tnn_gguf_str without_lines_at_end(tnn_gguf_str text) {
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    return text;
}

/*
 * SmolLM3 opens every conversation with a block of facts, the mode of reasoning among them. Its line with the date of
 * the day is left out: a template has no clock.
 */
static tnn_status find_smollm3_preamble(tnn_chat_template *c, tnn_gguf_str jinja, tnn_error *err) {
    static const char persona[] = "You are a helpful AI assistant named SmolLM", unthinking[] = "<think>\n\n</think>\n";
    tnn_gguf_str cutoff = {0}, rest = jinja;
    tnn_status status = find_literal(c, &rest, "Knowledge Cutoff Date: ", &cutoff, err);
    if (status || cutoff.size == 0) return status;
    cutoff = without_lines_at_end(cutoff);
    char text[128];
    int n = snprintf(text, sizeof text,
                     "## Metadata\n\n%.*s\nReasoning Mode: ", (int)(cutoff.size < 64 ? cutoff.size : 64), cutoff.data);
    c->preamble.data = tnn__arena_strndup(&c->arena, text, (size_t)n);
    c->preamble.size = (size_t)n;
    if (!c->preamble.data) return tnn__fail_nomem(err, "a chat template", (size_t)n);
    c->smollm3 = true;
    c->unthinking = (tnn_gguf_str){unthinking, sizeof unthinking - 1};
    status = find_literal(c, &rest, persona, &c->default_system, err);
    if (!status) status = find_literal(c, &rest, persona, &c->unthinking_system, err);
    c->default_system = without_lines_at_end(c->default_system);
    c->unthinking_system = without_lines_at_end(c->unthinking_system);
    return status;
}

static const char *find_last(tnn_gguf_str text, const char *part) {
    const char *last = NULL, *at;
    for (tnn_gguf_str rest = text; (at = find(rest, part)) != NULL; rest = rest_from(rest, at + 1))
        last = at;
    return last;
}

/* The literal that holds the text at `at`, from there to its end. */
static tnn_gguf_str literal_at(tnn_gguf_str text, const char *at) {
    tnn_gguf_str literal = {at, 0}, rest = rest_from(text, at);
    while (literal.size < rest.size && !strchr("'\"{", at[literal.size]))
        literal.size++;
    return literal;
}

/*
 * What the template puts behind the generation prompt: literals from "<think>" on, of which those guarded by something
 * else than enable_thinking are left alone. The default is the one without a condition, or in its "else".
 */
static tnn_status find_prompt_thoughts(tnn_chat_template *c, tnn_gguf_str jinja, tnn_error *err) {
    const char *prompt = find_last(jinja, "add_generation_prompt"), *at;
    if (!prompt) return TNN_OK;
    tnn_gguf_str tail = rest_from(jinja, prompt);
    if (tail.size > MESSAGE_MAX_BYTES) tail.size = MESSAGE_MAX_BYTES;
    tnn_status status = TNN_OK;
    for (tnn_gguf_str rest = tail; !status && (at = find(rest, "<think>")) != NULL; rest = rest_from(rest, at + 1)) {
        tnn_gguf_str literal = literal_at(rest, at), before = {tail.data, (size_t)(at - tail.data)};
        tnn_gguf_str *to = find(literal, "</think>") ? &c->unthinking : &c->thinking;
        const char *condition = find_last(before, "if ");
        tnn_gguf_str guard = condition ? rest_from(before, condition) : (tnn_gguf_str){"", 0};
        if (condition && !find(guard, "if enable_thinking")) continue;
        status = copy_unescaped(c, literal, to, err);
        if (!condition || find(guard, " else ")) c->thought = *to;
    }
    return status;
}

/* What Qwen3, Qwen3.5 and others do with the thoughts of a conversation. */
static tnn_status find_thoughts(tnn_chat_template *c, tnn_gguf_str jinja, tnn_error *err) {
    c->trims = find(jinja, "set content = render_content(message.content, true)|trim") != NULL; /* Qwen3.5 */
    c->drops_thoughts = find(jinja, "split('</think>')[-1]") != NULL;
    c->drops_lines = find(jinja, "split('</think>')[-1].lstrip('\\n')") != NULL;
    bool qwen3 = find(jinja, "loop.last or (not loop.last and reasoning_content)") != NULL;
    c->shows_last_thought = find(jinja, "'\\n</think>\\n\\n' + content") && (qwen3 || c->trims);
    return find_prompt_thoughts(c, jinja, err);
}

/* The text of the eos token; many formats end a turn with it. */
static tnn_status load_eos(tnn_chat_template *c, const tnn_gguf *g, tnn_error *err) {
    tnn_gguf_str eos = {0};
    int64_t tokens = tnn_gguf_find_key(g, "tokenizer.ggml.tokens"),
            key = tnn_gguf_find_key(g, "tokenizer.ggml.eos_token_id");
    int64_t id;
    if (key >= 0 && tnn_gguf_array_i64(g, key, 0, &id) && id >= 0) eos = tnn_gguf_array_str(g, tokens, (uint64_t)id);
    if (eos.size == 0) eos = (tnn_gguf_str){"<|endoftext|>", 13};
    c->eos.data = tnn__arena_strndup(&c->arena, eos.data, eos.size);
    c->eos.size = eos.size;
    return c->eos.data ? TNN_OK : tnn__fail_nomem(err, "a chat template", eos.size);
}

static tnn_status fail_unknown(const char *why, tnn_error *err) {
    char known[TNN_ERROR_TEXT_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; tnn__chat_format_at(i); i++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s", tnn__chat_format_at(i)->name);
    return tnn__fail(err, TNN_E_UNSUPPORTED, "%s: name one of these with --chat-template:%s", why, known);
}

static tnn_status load_jinja(tnn_chat_template *c, tnn_gguf_str jinja, tnn_error *err) {
    const char *other;
    c->format = tnn__chat_format_detect(jinja.data, jinja.size, &other);
    if (!c->format) {
        char why[128];
        snprintf(why, sizeof why, "the chat template is of the family '%s', which tinynn does not render",
                 other ? other : "");
        return fail_unknown(other ? why : "the chat template is not one tinynn recognises", err);
    }
    bool chatml = strcmp(c->format->name, "chatml") == 0;
    if (chatml && find(jinja, "## Custom Instructions") && find(jinja, "Reasoning Mode: "))
        return find_smollm3_preamble(c, jinja, err);
    tnn_status status = find_thoughts(c, jinja, err);
    if (status) return status;
    if (chatml) return find_default_system(c, jinja, err);
    if (strcmp(c->format->name, "deepseek") == 0)
        return find_literal(c, &jinja, "You are an AI programming assistant", &c->default_system, err);
    return strcmp(c->format->name, "llama3") == 0 ? find_llama3_preamble(c, jinja, err) : TNN_OK;
}

static bool has_token(const tnn_gguf *g, const char *text) {
    int64_t key = tnn_gguf_find_key(g, "tokenizer.ggml.tokens");
    uint64_t n = key >= 0 ? tnn_gguf_array_count(g, key) : 0;
    for (uint64_t i = 0; i < n; i++) {
        tnn_gguf_str token = tnn_gguf_array_str(g, key, i);
        if (tnn__str_is(token, text)) return true;
    }
    return false;
}

static tnn_status load(tnn_chat_template *c, const tnn_gguf *g, const char *name, tnn_error *err) {
    tnn_status status = load_eos(c, g, err);
    if (status) return status;
    if (name) {
        tnn_gguf_str text = {name, strlen(name)};
        c->format = tnn__chat_format_named(text.data, text.size);
        if (c->format) return TNN_OK;
        if (memchr(text.data, '{', text.size)) return load_jinja(c, text, err);
        char why[128];
        snprintf(why, sizeof why, "there is no chat template '%.64s'", name);
        return fail_unknown(why, err);
    }
    tnn_gguf_str jinja = {0};
    status = tnn_gguf_get_str(g, "tokenizer.chat_template", &jinja, err);
    if (!status) return load_jinja(c, jinja, err);
    if (status != TNN_E_NOTFOUND) return status;
    if (has_token(g, "<|im_start|>") && has_token(g, "<|im_end|>")) {
        c->format = tnn__chat_format_named("chatml", 6);
        return TNN_OK;
    }
    return tnn__fail(err, TNN_E_NOTFOUND,
                     "this model has no chat template (no key tokenizer.chat_template): name one with --chat-template, "
                     "chatml for example");
}

tnn_status tnn_chat_template_new(tnn_chat_template **out, const tnn_gguf *g, const char *name,
                                 const tnn_allocator *allocator, tnn_error *err) {
    *out = NULL;
    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    tnn_chat_template *c = tnn__calloc(a, sizeof *c, sizeof(void *));
    if (!c) return tnn__fail_nomem(err, "a chat template", sizeof *c);
    c->alloc = *a;
    tnn__arena_init(&c->arena, a, 0);
    tnn_status status = load(c, g, name, err);
    if (status) {
        tnn_chat_template_free(c);
        return status;
    }
    *out = c;
    return TNN_OK;
}

void tnn_chat_template_free(tnn_chat_template *c) {
    if (!c) return;
    tnn_allocator a = c->alloc;
    tnn__arena_free(&c->arena);
    tnn__free(&a, c, sizeof *c, sizeof(void *));
}

const char *tnn_chat_template_name(const tnn_chat_template *c) {
    return c->format->name;
}

tnn_gguf_str tnn_chat_template_default_system(const tnn_chat_template *c) {
    return c->default_system.data ? c->default_system : (tnn_gguf_str){"", 0};
}

const char *tnn_chat_template_known(int i) {
    const tnn__chat_format *format = i < 0 ? NULL : tnn__chat_format_at((size_t)i);
    return format ? format->name : NULL;
}
