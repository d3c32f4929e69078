/*
 * Rendering a conversation: which text stands around each message, which bytes are whose, and what the ids are.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "text/buffer.h"
#include "text/chat_template.h"
#include "text/tokenizer_impl.h"

#define ROLE_MAX_BYTES 64

tnn_chat_options tnn_chat_options_default(void) {
    return (tnn_chat_options){.generation_prompt = true};
}

void tnn_chat_rendering_free(tnn_chat_rendering *r) {
    if (!r) return;
    tnn__buffer_free(r->text.allocator, r->spans, r->span_capacity, sizeof *r->spans);
    tnn_text_free(&r->text);
    r->spans = NULL;
    r->n_spans = r->span_capacity = 0;
}

typedef struct renderer {
    const tnn_chat_template *c;
    const tnn__chat_format *format;
    const tnn_chat_options *options;
    tnn_chat_rendering *r;
    const tnn_chat_message *held; /* system message on its way into the next one */
    bool opened;                  /* there is a message already */
    bool any_turn, in_turn;
    tnn_gguf_str thought; /* put behind the generation prompt, and by SmolLM3 before every answer */
    tnn_error *err;
    tnn_status status; /* the first failure; what comes after it does nothing */
} renderer;

static void add(renderer *s, const char *text, size_t size, unsigned flags) {
    if (s->status || size == 0) return;
    tnn_chat_rendering *r = s->r;
    bool extends = r->n_spans > 0 && r->spans[r->n_spans - 1].flags == flags;
    if (!extends) {
        void *spans = r->spans;
        s->status =
            tnn__buffer_reserve(r->text.allocator, &spans, &r->span_capacity, r->n_spans + 1, sizeof *r->spans, s->err);
        if (s->status) return;
        r->spans = spans;
        r->spans[r->n_spans++] = (tnn_chat_span){r->text.n, r->text.n, flags};
    }
    s->status = tnn_text_append(&r->text, text, size, s->err);
    r->spans[r->n_spans - 1].end = r->text.n;
}

static void add_template(renderer *s, const char *text, unsigned flags) {
    if (text) add(s, text, strlen(text), flags);
}

static void add_str(renderer *s, tnn_gguf_str text) {
    add(s, text.data, text.size, 0);
}

static bool is_ascii_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static tnn_gguf_str trimmed(tnn_gguf_str text) {
    while (text.size > 0 && is_ascii_space(text.data[text.size - 1]))
        text.size--;
    while (text.size > 0 && is_ascii_space(text.data[0])) {
        text.data++;
        text.size--;
    }
    return text;
}

static void add_content(renderer *s, const tnn_chat_message *m, unsigned flags) {
    bool answer = (flags & TNN_CHAT_ANSWER) != 0, all = s->c->trims || s->format->trim == TNN__TRIM_ALL;
    tnn_gguf_str text = {m->content, m->content_size};
    if (all || (s->format->trim == TNN__TRIM_ANSWERS && answer)) text = trimmed(text);
    add(s, text.data, text.size, flags | TNN_CHAT_CONTENT);
}

static void fail(renderer *s, const tnn_chat_message *m, const char *what) {
    if (s->status) return;
    s->status = tnn__fail(s->err, TNN_E_UNSUPPORTED, "the chat template %s %s '%s'", s->format->name, what, m->role);
}

/* --- SmolLM3's system message --- */

static const char *const modes[] = {"/no_think", "/think"};

/* The mode at text[0], or NULL. */
static const char *mode_at(const char *text, size_t size) {
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(modes[i]);
        if (size >= n && memcmp(text, modes[i], n) == 0) return modes[i];
    }
    return NULL;
}

/* Length without the blanks and modes at the end. */
static size_t strip_end(const char *text, size_t size) {
    for (size_t before = size + 1; size < before;) {
        before = size;
        while (size > 0 && is_ascii_space(text[size - 1]))
            size--;
        for (int i = 0; i < 2; i++) {
            size_t n = strlen(modes[i]);
            if (size >= n && memcmp(text + size - n, modes[i], n) == 0) size -= n;
        }
    }
    return size;
}

static void add_without_modes(renderer *s, const char *text, size_t size) {
    size_t begin = 0;
    for (size_t i = 0; i < size;) {
        const char *mode = mode_at(text + i, size - i);
        if (!mode) {
            i++;
            continue;
        }
        add(s, text + begin, i - begin, TNN_CHAT_CONTENT);
        begin = i += strlen(mode);
    }
    add(s, text + begin, size - begin, TNN_CHAT_CONTENT);
}

/* The mode, and the instructions without what chose it. */
static void render_smollm3_system(renderer *s, const tnn_chat_message *m) {
    bool own = m->content == s->c->default_system.data; /* it speaks of "</think>" and means just that */
    size_t size = own ? m->content_size : strip_end(m->content, m->content_size);
    add_str(s, s->c->preamble);
    bool thinks = s->thought.size == 0;
    add_template(s, thinks ? modes[1] : modes[0], 0);
    add_template(s, "\n\n## Custom Instructions\n\n", 0);
    if (own) {
        add_content(s, m, 0);
    } else if (size > 0) {
        add_without_modes(s, m->content, size);
    } else if (m->content_size > 0) {
        add_str(s, thinks ? s->c->default_system : s->c->unthinking_system);
    }
    add_template(s, "\n\n", 0);
}

/* --- thoughts --- */

/* Where the caller does not say, the template does; by SmolLM3's the first message, which may be the implied one. */
static void choose_thought(renderer *s, const tnn_chat_message *first) {
    tnn_chat_thinking wish = s->options->thinking;
    bool unknown = wish == TNN_CHAT_THINKING_OFF ? s->c->unthinking.size == 0
                                                 : s->c->thinking.size == 0 && s->c->unthinking.size == 0;
    if (wish == TNN_CHAT_THINKING_DEFAULT) {
        bool off = s->c->smollm3 && first->content && strcmp(first->role, "system") == 0 &&
                   tnn__text_find(first->content, first->content_size, modes[0]);
        s->thought = off ? s->c->unthinking : s->c->thought;
    } else if (unknown) {
        s->status = tnn__fail(s->err, TNN_E_UNSUPPORTED,
                              "the chat template of this model (%s) does not tell how to have it think or not: say "
                              "what its answers begin with, with --answer-prefix",
                              s->format->name);
    } else {
        s->thought = wish == TNN_CHAT_THINKING_OFF ? s->c->unthinking : s->c->thinking;
    }
}

/* Cuts the thought off an answer and returns it, without its tags and the blanks around it. */
static tnn_gguf_str cut_thought(const tnn_chat_template *c, tnn_chat_message *m) {
    static const char opening[] = "<think>", closing[] = "</think>";
    enum { N_OPENING = sizeof opening - 1, N_CLOSING = sizeof closing - 1 };
    const char *end = tnn__text_find(m->content, m->content_size, closing), *at;
    if (m->content_size == 0) return (tnn_gguf_str){"", 0};
    const char *stop = m->content + m->content_size;
    tnn_gguf_str thought = {m->content, end ? (size_t)(end - m->content) : 0};
    while ((at = tnn__text_find(thought.data, thought.size, opening)) != NULL) {
        thought.size -= (size_t)(at + N_OPENING - thought.data);
        thought.data = at + N_OPENING;
    }
    while ((at = tnn__text_find(m->content, (size_t)(stop - m->content), closing)) != NULL)
        m->content = at + N_CLOSING;
    while (c->drops_lines && m->content < stop && *m->content == '\n')
        m->content++;
    m->content_size = (size_t)(stop - m->content);
    return trimmed(thought);
}

/* Qwen3's form. The opening tag is learned where it is not part of a generation prompt. */
static void render_thought(renderer *s, tnn_gguf_str thought, unsigned answer) {
    if (thought.size == 0) {
        add_str(s, s->c->unthinking);
        return;
    }
    add_template(s, "<think>\n", s->c->thinking.size > 0 ? 0 : answer);
    add(s, thought.data, thought.size, answer | TNN_CHAT_CONTENT);
    add_template(s, "\n</think>\n\n", answer);
}

static void render_any_role(renderer *s, const tnn_chat_message *m) {
    const tnn__chat_format *f = s->format;
    add_template(s, f->any_role.before, 0);
    add_template(s, m->role, 0);
    add_template(s, f->any_role.after, 0);
    if (s->held) {
        add_content(s, s->held, 0);
        add_template(s, f->system.after, 0);
        s->held = NULL;
    }
    bool opening = !s->opened && strcmp(m->role, "system") == 0;
    if (opening && s->c->smollm3) {
        render_smollm3_system(s, m);
    } else {
        if (opening) add_str(s, s->c->preamble);
        add_content(s, m, 0);
    }
    if (f->user.after) {
        add_template(s, f->user.after, 0);
    } else {
        add_str(s, s->c->eos);
        add_template(s, f->answer_after, 0);
    }
}

static void render_known_role(renderer *s, const tnn_chat_message *m, const tnn__chat_wrap *wrap) {
    if (!s->in_turn) add_template(s, s->any_turn ? s->format->turn : s->format->first_turn, 0);
    s->any_turn = s->in_turn = true;
    add_template(s, wrap->before, 0);
    add_content(s, m, 0);
    add_template(s, wrap->after, 0);
}

/* `last`: of all messages; `current`: behind the user's last. */
static void render_answer(renderer *s, const tnn_chat_message *m, bool last, bool current) {
    const tnn__chat_format *f = s->format;
    const unsigned answer = TNN_CHAT_ANSWER | (m->not_learned ? TNN_CHAT_NOT_LEARNED : 0u);
    tnn_chat_message body = *m;
    add_template(s, f->answer_header, 0);
    if (last && s->options->answer_prefix) {
        add_template(s, s->options->answer_prefix, 0);
    } else if (s->c->smollm3) {
        add_str(s, s->thought);
    } else if (current && s->c->shows_last_thought) {
        tnn_gguf_str thought = cut_thought(s->c, &body);
        render_thought(s, thought, answer);
    } else if (!current && s->c->drops_thoughts) {
        cut_thought(s->c, &body);
    }
    add_template(s, f->answer_lead, answer);
    add_content(s, &body, answer);
    if (f->answer_end) {
        add_template(s, f->answer_end, answer);
    } else {
        add(s, s->c->eos.data, s->c->eos.size, answer);
    }
    add_template(s, f->answer_after, 0);
    s->in_turn = false;
}

static void render_message(renderer *s, const tnn_chat_message *m, bool last, bool current) {
    bool system = strcmp(m->role, "system") == 0;
    if (strcmp(m->role, "assistant") == 0) {
        render_answer(s, m, last, current);
    } else if (system && s->format->system_in_user) {
        if (s->held) fail(s, m, "has room for one message before the user's, not two, of the role");
        s->held = m;
    } else if (s->format->any_role.before) {
        render_any_role(s, m);
    } else if (system) {
        render_known_role(s, m, &s->format->system);
    } else if (strcmp(m->role, "user") == 0) {
        render_known_role(s, m, &s->format->user);
    } else {
        fail(s, m, "has no form for a message of the role");
    }
    s->opened = true;
}

/* Roles become template text, so nothing but a name may stand there. */
static bool is_role(const char *role) {
    size_t n = role ? strlen(role) : 0;
    for (size_t i = 0; i < n; i++) {
        char c = role[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!word) return false;
    }
    return n > 0 && n <= ROLE_MAX_BYTES;
}

static tnn_status check_messages(const tnn_chat_message *messages, size_t n, tnn_error *err) {
    if (n == 0) return tnn__fail(err, TNN_E_ARG, "a conversation needs at least one message");
    for (size_t i = 0; i < n; i++) {
        if (!is_role(messages[i].role)) {
            return tnn__fail(err, TNN_E_ARG,
                             "message %zu: the role '%.64s' is not a name of letters, digits, '_' and '-'", i + 1,
                             messages[i].role ? messages[i].role : "");
        }
        if (!messages[i].content && messages[i].content_size) {
            return tnn__fail(err, TNN_E_ARG, "message %zu has no content", i + 1);
        }
    }
    return TNN_OK;
}

/* The system message that the template adds in front, if it does. */
static void render_implied_system(renderer *s, const tnn_chat_message *implied, const tnn_chat_message *first) {
    bool wanted = implied->content_size > 0 || s->c->preamble.size > 0;
    bool missing = strcmp(first->role, "system") != 0;
    choose_thought(s, missing ? implied : first);
    if (wanted && missing) render_message(s, implied, false, false);
}

/* How many messages there are up to the user's last. */
static size_t up_to_last_user(const tnn_chat_message *messages, size_t n) {
    while (n > 0 && strcmp(messages[n - 1].role, "user") != 0)
        n--;
    return n;
}

/* Drops what is before the end of the last answer. */
static void keep_after_last_answer(tnn_chat_rendering *r) {
    size_t first = r->n_spans;
    while (first > 0 && !(r->spans[first - 1].flags & TNN_CHAT_ANSWER))
        first--;
    if (first == 0) return;
    size_t cut = r->spans[first - 1].end;
    r->text.n -= cut;
    memmove(r->text.data, r->text.data + cut, r->text.n);
    r->n_spans -= first;
    for (size_t i = 0; i < r->n_spans; i++) {
        tnn_chat_span from = r->spans[first + i];
        r->spans[i] = (tnn_chat_span){from.begin - cut, from.end - cut, from.flags};
    }
}

tnn_status tnn_chat_render(const tnn_chat_template *c, const tnn_chat_message *messages, size_t n,
                           const tnn_chat_options *options, tnn_chat_rendering *r, tnn_error *err) {
    tnn_chat_options defaults = tnn_chat_options_default();
    if (!options) options = &defaults;
    r->text.n = r->n_spans = 0;
    tnn_status status = check_messages(messages, n, err);
    if (status) return status;

    renderer s = {.c = c, .format = c->format, .options = options, .r = r, .err = err};
    tnn_gguf_str system = c->default_system;
    if (options->default_system) system = (tnn_gguf_str){options->default_system, strlen(options->default_system)};
    tnn_chat_message implied = {.role = "system", .content = system.data, .content_size = system.size};
    render_implied_system(&s, &implied, &messages[0]);
    size_t asked = up_to_last_user(messages, n);
    for (size_t i = 0; i < n; i++)
        render_message(&s, &messages[i], i + 1 == n, i >= asked);
    if (s.held) fail(&s, s.held, "needs a user message behind the one of the role");
    if (options->generation_prompt) {
        add_template(&s, c->format->answer_header, 0);
        if (options->answer_prefix) {
            add_template(&s, options->answer_prefix, 0);
        } else {
            add_str(&s, s.thought);
        }
    }
    if (s.status) {
        r->text.n = r->n_spans = 0;
    } else if (options->after_last_answer) {
        keep_after_last_answer(r);
    }
    return s.status;
}

/* Whose bytes a span has: of context, of an answer, of one that is not learned. */
static unsigned kind_of(tnn_chat_span span) {
    return span.flags & (TNN_CHAT_ANSWER | TNN_CHAT_NOT_LEARNED);
}

/* Encodes spans[first, end), which are all of one kind. */
static tnn_status encode_spans(const tnn_tokenizer *t, const tnn_chat_rendering *r, size_t first, size_t end,
                               tnn__region *regions, bool *after_special, tnn_ids *ids, tnn_error *err) {
    size_t begin = r->spans[first].begin, n_regions = 0;
    for (size_t i = first; i < end; i++) {
        if (r->spans[i].flags & TNN_CHAT_CONTENT) continue;
        regions[n_regions++] = (tnn__region){r->spans[i].begin - begin, r->spans[i].end - begin};
    }
    return tnn__tokenizer_encode_part(t, r->text.data + begin, r->spans[end - 1].end - begin, regions, n_regions,
                                      after_special, ids, err);
}

static tnn_status mark(tnn_text *trained, size_t n, bool answer, tnn_error *err) {
    static const char flags[2] = {0, 1};
    tnn_status status = TNN_OK;
    while (trained && n-- > 0 && !status)
        status = tnn_text_append(trained, &flags[answer], 1, err);
    return status;
}

static tnn_status encode_rendering(const tnn_tokenizer *t, const tnn_chat_rendering *r, bool bos, tnn_ids *ids,
                                   tnn_text *trained, tnn_error *err) {
    if (r->n_spans == 0) return TNN_OK;
    tnn__region *regions = tnn__calloc_array(&t->alloc, r->n_spans, sizeof *regions);
    if (!regions) return tnn__fail_nomem(err, "a conversation", r->n_spans * sizeof *regions);
    tnn_status status = TNN_OK;
    bool after_special = true;
    if (bos && t->add_bos && t->special[TNN_SPECIAL_BOS] >= 0) {
        status = tnn_ids_push(ids, t->special[TNN_SPECIAL_BOS], err);
        if (!status) status = mark(trained, 1, false, err);
    }
    for (size_t first = 0, end; first < r->n_spans && !status; first = end) {
        unsigned kind = kind_of(r->spans[first]);
        for (end = first + 1; end < r->n_spans && kind_of(r->spans[end]) == kind;)
            end++;
        size_t n_before = ids->n;
        status = encode_spans(t, r, first, end, regions, &after_special, ids, err);
        if (!status) status = mark(trained, ids->n - n_before, kind == TNN_CHAT_ANSWER, err);
    }
    tnn__free_array(&t->alloc, regions, r->n_spans, sizeof *regions);
    return status;
}

tnn_status tnn_chat_encode(const tnn_chat_template *c, const tnn_tokenizer *t, const tnn_chat_message *messages,
                           size_t n, const tnn_chat_options *options, tnn_ids *ids, tnn_text *trained, tnn_error *err) {
    size_t n_ids = ids->n, n_trained = trained ? trained->n : 0;
    tnn_chat_rendering r = {.text = {.allocator = &t->alloc}};
    tnn_status status = tnn_chat_render(c, messages, n, options, &r, err);
    bool whole = !options || !options->after_last_answer;
    if (!status) status = encode_rendering(t, &r, whole, ids, trained, err);
    tnn_chat_rendering_free(&r);
    if (status) {
        ids->n = n_ids;
        if (trained) trained->n = n_trained;
    }
    return status;
}
