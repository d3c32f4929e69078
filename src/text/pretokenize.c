/*
 * The pre-tokenizers' regular expressions as hand-written splitters. Above each stands the expression it implements;
 * alternatives are tried in the order written, as a backtracking engine would. A match never looks past the end of
 * its segment, and none scans a character more than a fixed number of times, so long runs of one class stay linear.
 *
 * The upper/lower case classes of tekken and gpt-4o follow llama.cpp, where a letter outside ASCII is both, so that
 * ids agree with it; the tokenizer.json of those models distinguishes case there.
 */
#include "text/pretokenize.h"

#include <string.h>

enum { LETTER = TNN__LETTER, NUMBER = TNN__NUMBER, MARK = TNN__MARK, SPACE = TNN__SPACE };

static bool is(tnn__char c, unsigned classes) {
    return tnn__char_is(c, classes);
}

static bool is_code(tnn__char c, uint32_t code) {
    return tnn__char_code(c) == code;
}

static bool in_range(tnn__char c, uint32_t first, uint32_t last) {
    return tnn__char_code(c) >= first && tnn__char_code(c) <= last;
}

static bool is_newline(tnn__char c) {
    return is_code(c, '\r') || is_code(c, '\n');
}

static bool is_ascii_digit(tnn__char c) {
    return in_range(c, '0', '9');
}

static bool is_ascii_letter(tnn__char c) {
    return in_range(c, 'a', 'z') || in_range(c, 'A', 'Z');
}

static bool is_one_of(tnn__char c, const char *ascii) {
    uint32_t code = tnn__char_code(c);
    return code != 0 && code < 128 && strchr(ascii, (int)code) != NULL;
}

/* End of the run of characters in (or, second form, outside) the classes. */
static size_t skip(const tnn__char *text, size_t pos, size_t end, unsigned classes) {
    while (pos < end && is(text[pos], classes))
        pos++;
    return pos;
}

static size_t skip_not(const tnn__char *text, size_t pos, size_t end, unsigned classes) {
    while (pos < end && !is(text[pos], classes))
        pos++;
    return pos;
}

static size_t skip_newlines(const tnn__char *text, size_t pos, size_t end) {
    while (pos < end && is_newline(text[pos]))
        pos++;
    return pos;
}

/* --- parts that several expressions share --- */

/* 's|'t|'re|'ve|'m|'ll|'d */
static size_t contraction(const tnn__char *text, size_t pos, size_t end, bool any_case) {
    if (!is_code(text[pos], '\'') || end - pos < 2) return 0;
    uint32_t letters[2] = {tnn__char_code(text[pos + 1]), end - pos > 2 ? tnn__char_code(text[pos + 2]) : 0};
    for (int i = 0; i < 2; i++) {
        if (any_case && letters[i] >= 'A' && letters[i] <= 'Z') letters[i] += 'a' - 'A';
    }
    uint32_t a = letters[0], b = letters[1];
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* \s+(?!\S)|\s+ : a run leaves its last character to a word that follows. */
static size_t spaces(const tnn__char *text, size_t pos, size_t end) {
    size_t n = skip(text, pos, end, SPACE) - pos;
    return n > 1 && pos + n < end ? n - 1 : n;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : a run ends behind its last line break, if it has one. */
static size_t lines_or_spaces(const tnn__char *text, size_t pos, size_t end) {
    size_t run_end = skip(text, pos, end, SPACE);
    for (size_t i = run_end; i > pos; i--) {
        if (is_newline(text[i - 1])) return i - pos;
    }
    return spaces(text, pos, end);
}

/* [^\r\n\p{L}\p{N}]? in front of a character of the classes: where that character stands, or end if none does. */
static size_t after_lead(const tnn__char *text, size_t pos, size_t end, unsigned classes) {
    bool can_lead = !is_newline(text[pos]) && !is(text[pos], LETTER | NUMBER);
    if (can_lead && pos + 1 < end && is(text[pos + 1], classes)) return pos + 1;
    return is(text[pos], classes) ? pos : end;
}

/* " ?[^\s<classes>]+": the classes, space among them, are those left out. */
static size_t others(const tnn__char *text, size_t pos, size_t end, unsigned classes) {
    size_t start = pos + (is_code(text[pos], ' ') ? 1 : 0);
    size_t stop = skip_not(text, start, end, classes | SPACE);
    return stop > start ? stop - pos : 0;
}

/* " ?[^\s<classes>]+[\r\n]*" */
static size_t others_and_newlines(const tnn__char *text, size_t pos, size_t end, unsigned classes) {
    size_t n = others(text, pos, end, classes);
    return n ? skip_newlines(text, pos + n, end) - pos : 0;
}

/* \p{N}{1,max} */
static size_t digits(const tnn__char *text, size_t pos, size_t end, size_t max) {
    return skip(text, pos, end - pos > max ? pos + max : end, NUMBER) - pos;
}

/* --- one splitter per expression --- */

/* \p{N} */
static size_t one_number(const tnn__char *text, size_t pos, size_t end) {
    (void)end;
    return is(text[pos], NUMBER) ? 1 : 0;
}

/* \p{N}+ */
static size_t numbers(const tnn__char *text, size_t pos, size_t end) {
    return skip(text, pos, end, NUMBER) - pos;
}

/* \p{N}{1,3} */
static size_t up_to_three_numbers(const tnn__char *text, size_t pos, size_t end) {
    return digits(text, pos, end, 3);
}

/* [0-9][0-9][0-9] */
static size_t three_digits(const tnn__char *text, size_t pos, size_t end) {
    if (end - pos < 3) return 0;
    return is_ascii_digit(text[pos]) && is_ascii_digit(text[pos + 1]) && is_ascii_digit(text[pos + 2]) ? 3 : 0;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t gpt2(const tnn__char *text, size_t pos, size_t end) {
    size_t n = contraction(text, pos, end, false);
    if (n) return n;
    size_t start = pos + (is_code(text[pos], ' ') && pos + 1 < end ? 1 : 0);
    if (is(text[start], LETTER)) return skip(text, start, end, LETTER) - pos;
    if (is(text[start], NUMBER)) return skip(text, start, end, NUMBER) - pos;
    n = others(text, pos, end, LETTER | NUMBER);
    return n ? n : spaces(text, pos, end);
}

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[<letters>]+|\p{N}{1,max_digits}| ?[^\s<letters>\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t cl100k(const tnn__char *text, size_t pos, size_t end, unsigned letters, size_t max_digits) {
    size_t n = contraction(text, pos, end, true);
    if (n) return n;
    size_t start = after_lead(text, pos, end, letters);
    if (start < end) return skip(text, start, end, letters) - pos;
    n = digits(text, pos, end, max_digits);
    if (!n) n = others_and_newlines(text, pos, end, letters | NUMBER);
    return n ? n : lines_or_spaces(text, pos, end);
}

static size_t llama3(const tnn__char *text, size_t pos, size_t end) {
    return cl100k(text, pos, end, LETTER, 3);
}

static size_t qwen2(const tnn__char *text, size_t pos, size_t end) {
    return cl100k(text, pos, end, LETTER, 1);
}

static size_t qwen35(const tnn__char *text, size_t pos, size_t end) {
    return cl100k(text, pos, end, LETTER | MARK, 1);
}

static bool is_upper(tnn__char c) {
    return is(c, LETTER) && !in_range(c, 'a', 'z');
}

static bool is_lower(tnn__char c) {
    return is(c, LETTER) && !in_range(c, 'A', 'Z');
}

/* End of UPPER*LOWER+|UPPER+LOWER* at a letter, where letters outside ASCII are both. */
static size_t cased_word(const tnn__char *text, size_t pos, size_t end) {
    size_t upper_end = pos;
    while (upper_end < end && is_upper(text[upper_end]))
        upper_end++;
    if (upper_end < end && is(text[upper_end], LETTER)) { /* a to z: LOWER+ starts there */
        while (upper_end < end && is_lower(text[upper_end]))
            upper_end++;
        return upper_end;
    }
    /* LOWER+ has to give way to UPPER* and start at the last letter of the run that is both */
    for (size_t i = upper_end; i > pos; i--) {
        if (is_lower(text[i - 1])) return i;
    }
    return upper_end;
}

/*
 * [^\r\n\p{L}\p{N}]?(UPPER*LOWER+|UPPER+LOWER*)<contraction>?|\p{N}{1,max_digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t cased(const tnn__char *text, size_t pos, size_t end, bool contractions, size_t max_digits) {
    size_t start = after_lead(text, pos, end, LETTER);
    if (start < end) {
        size_t stop = cased_word(text, start, end);
        if (contractions && stop < end) stop += contraction(text, stop, end, true);
        return stop - pos;
    }
    size_t n = digits(text, pos, end, max_digits);
    if (n) return n;
    n = others(text, pos, end, LETTER | NUMBER);
    if (!n) return lines_or_spaces(text, pos, end);
    while (pos + n < end && (is_newline(text[pos + n]) || is_code(text[pos + n], '/')))
        n++;
    return n;
}

static size_t tekken(const tnn__char *text, size_t pos, size_t end) {
    return cased(text, pos, end, false, 1);
}

static size_t gpt4o(const tnn__char *text, size_t pos, size_t end) {
    return cased(text, pos, end, true, 3);
}

/* [\p{P}<signs>]+ */
static size_t punctuation(const tnn__char *text, size_t pos, size_t end, const char *signs) {
    size_t i = pos;
    while (i < end && (is(text[i], TNN__PUNCTUATION) || is_one_of(text[i], signs)))
        i++;
    return i - pos;
}

/* [\p{P}\$\+<=>\^~\|]+ */
static size_t default_punctuation(const tnn__char *text, size_t pos, size_t end) {
    return punctuation(text, pos, end, "$+<=>^~|");
}

/* [\p{P}\$\+<=>\^~\|`]+ */
static size_t falcon_punctuation(const tnn__char *text, size_t pos, size_t end) {
    return punctuation(text, pos, end, "$+<=>^~|`");
}

/* [\r\n] */
static size_t one_newline(const tnn__char *text, size_t pos, size_t end) {
    (void)end;
    return is_newline(text[pos]) ? 1 : 0;
}

/* \s?<classes>+ */
static size_t spaced_run(const tnn__char *text, size_t pos, size_t end, unsigned classes) {
    size_t start = pos + (is(text[pos], SPACE) ? 1 : 0);
    size_t stop = skip(text, start, end, classes);
    return stop > start ? stop - pos : 0;
}

/* \s?\p{L}+ */
static size_t spaced_letters(const tnn__char *text, size_t pos, size_t end) {
    return spaced_run(text, pos, end, LETTER);
}

/* \s?\p{P}+ */
static size_t spaced_punctuation(const tnn__char *text, size_t pos, size_t end) {
    return spaced_run(text, pos, end, TNN__PUNCTUATION);
}

/* [一-龥ࠀ-一가-퟿]+ : of deepseek-llm too */
static size_t deepseek_coder_cjk(const tnn__char *text, size_t pos, size_t end) {
    size_t i = pos;
    while (i < end && (in_range(text[i], 0x0800, 0x9FA5) || in_range(text[i], 0xAC00, 0xD7FF)))
        i++;
    return i - pos;
}

/* Letters as the expression of deepseek-llm lists them. */
static const struct {
    uint32_t first, last;
} cased_letters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
    {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},
    {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},
    {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};

static bool is_cased_letter(tnn__char c) {
    size_t low = 0, high = sizeof cased_letters / sizeof cased_letters[0];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (in_range(c, cased_letters[middle].first, cased_letters[middle].last)) return true;
        if (tnn__char_code(c) < cased_letters[middle].first) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}

static bool is_deepseek_llm_sign(tnn__char c) {
    return in_range(c, '!', '/') || in_range(c, ':', '~') || in_range(c, 0xFF01, 0xFF0F) ||
           in_range(c, 0xFF1A, 0xFF5E) || in_range(c, 0x2018, 0x201F) || in_range(c, 0x3000, 0x3002);
}

/* \s?<in>+ ; what is in may be a space itself */
static size_t spaced(const tnn__char *text, size_t pos, size_t end, bool (*in)(tnn__char c)) {
    size_t start = pos + (is(text[pos], SPACE) ? 1 : 0), stop = start;
    while (stop < end && in(text[stop]))
        stop++;
    return stop > start ? stop - pos : in(text[pos]);
}

/* \s?[A-Za-zµÀ-ÖØ-öø-ƺ...]+ */
static size_t deepseek_llm_letters(const tnn__char *text, size_t pos, size_t end) {
    return spaced(text, pos, end, is_cased_letter);
}

/* \s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+ : ":-~" has the ASCII letters too */
static size_t deepseek_llm_signs(const tnn__char *text, size_t pos, size_t end) {
    return spaced(text, pos, end, is_deepseek_llm_sign);
}

/* \s+$ : split looks for it from the end, as a search from each position would not be linear. */
static size_t last_spaces(const tnn__char *text, size_t pos, size_t end) {
    size_t n = skip(text, pos, end, SPACE) - pos;
    return pos + n == end ? n : 0;
}

/* [一-龥぀-ゟ゠-ヿ]+ */
static size_t deepseek_v3_cjk(const tnn__char *text, size_t pos, size_t end) {
    size_t i = pos;
    while (i < end && (in_range(text[i], 0x4E00, 0x9FA5) || in_range(text[i], 0x3040, 0x30FF)))
        i++;
    return i - pos;
}

/*
 * [<ASCII punctuation>][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t deepseek_v3(const tnn__char *text, size_t pos, size_t end) {
    enum { SIGN = TNN__PUNCTUATION | TNN__SYMBOL, WORD = LETTER | MARK };
    tnn__char c = text[pos];
    bool has_next = pos + 1 < end;
    if (tnn__char_code(c) < 128 && is(c, SIGN) && has_next && is_ascii_letter(text[pos + 1])) {
        size_t i = pos + 1;
        while (i < end && is_ascii_letter(text[i]))
            i++;
        return i - pos;
    }
    bool can_lead = !is_newline(c) && !is(c, LETTER | SIGN);
    if (can_lead && has_next && is(text[pos + 1], WORD)) return skip(text, pos + 1, end, WORD) - pos;
    if (is(c, WORD)) return skip(text, pos, end, WORD) - pos;
    size_t start = pos + (is_code(c, ' ') ? 1 : 0);
    size_t stop = skip(text, start, end, SIGN);
    if (stop > start) return skip_newlines(text, stop, end) - pos;
    return lines_or_spaces(text, pos, end);
}

/* Ideographs; the script's other characters (radicals, numerals) are left to the other rules, as in llama.cpp. */
static bool is_han(tnn__char c) {
    return in_range(c, 0x4E00, 0x9FFF) || in_range(c, 0x3400, 0x4DBF) || in_range(c, 0x20000, 0x2A6DF) ||
           in_range(c, 0x2A700, 0x2EBEF) || in_range(c, 0xF900, 0xFAFF) || in_range(c, 0x2F800, 0x2FA1F);
}

static size_t skip_letters_not_han(const tnn__char *text, size_t pos, size_t end) {
    while (pos < end && is(text[pos], LETTER) && !is_han(text[pos]))
        pos++;
    return pos;
}

/*
 * \p{Han}+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t kimi_k2(const tnn__char *text, size_t pos, size_t end) {
    size_t stop = pos;
    while (stop < end && is_han(text[stop]))
        stop++;
    if (stop > pos) return stop - pos;
    size_t start = after_lead(text, pos, end, LETTER);
    if (start < end && !is_han(text[start])) {
        stop = skip_letters_not_han(text, start, end);
        if (stop < end) stop += contraction(text, stop, end, true);
        return stop - pos;
    }
    size_t n = digits(text, pos, end, 3);
    if (!n) n = others_and_newlines(text, pos, end, LETTER | NUMBER);
    return n ? n : lines_or_spaces(text, pos, end);
}

/* --- the lists and their names --- */

static const tnn__splitter gpt2_list[] = {gpt2, NULL};
static const tnn__splitter smollm_list[] = {one_number, gpt2, NULL};
static const tnn__splitter default_list[] = {default_punctuation, gpt2, numbers, three_digits, NULL};
static const tnn__splitter falcon_list[] = {falcon_punctuation, gpt2, three_digits, NULL};
static const tnn__splitter llama3_list[] = {llama3, NULL};
static const tnn__splitter qwen2_list[] = {qwen2, NULL};
static const tnn__splitter qwen35_list[] = {qwen35, NULL};
static const tnn__splitter tekken_list[] = {tekken, NULL};
static const tnn__splitter gpt4o_list[] = {gpt4o, NULL};
static const tnn__splitter deepseek_coder_list[] = {one_newline,        spaced_letters, spaced_punctuation,
                                                    deepseek_coder_cjk, one_number,     NULL};
static const tnn__splitter deepseek_llm_list[] = {one_newline, deepseek_llm_letters, deepseek_llm_signs,
                                                  last_spaces, deepseek_coder_cjk,   numbers,
                                                  NULL};
static const tnn__splitter deepseek_v3_list[] = {up_to_three_numbers, deepseek_v3_cjk, deepseek_v3, NULL};
static const tnn__splitter kimi_k2_list[] = {kimi_k2, NULL};

static const tnn__pretokenizer table[] = {
    {"default", default_list, false, false},
    {"gpt-2", gpt2_list, false, false},
    {"phi-2", gpt2_list, false, false},
    {"jina-es", gpt2_list, false, false},
    {"jina-de", gpt2_list, false, false},
    {"gigachat", gpt2_list, false, false},
    {"a.x-4.0", gpt2_list, false, false},
    {"mellum", gpt2_list, false, false},
    {"modern-bert", gpt2_list, false, false},
    {"exaone4", gpt2_list, false, false},
    {"mpt", gpt2_list, false, false},
    {"olmo", gpt2_list, false, false},
    {"jais", gpt2_list, false, false},
    {"smollm", smollm_list, false, false},
    {"starcoder", smollm_list, false, false},
    {"refact", smollm_list, false, false},
    {"codeshell", smollm_list, false, false},
    {"exaone", smollm_list, false, false},
    {"minerva-7b", smollm_list, false, false},
    {"command-r", smollm_list, false, false},
    {"falcon", falcon_list, false, false},
    {"llama3", llama3_list, true, true},
    {"llama-v3", llama3_list, true, true},
    {"llama-bpe", llama3_list, true, true},
    {"falcon3", llama3_list, true, true},
    {"falcon-h1", llama3_list, true, true},
    {"pixtral", llama3_list, true, true},
    {"lfm2", llama3_list, true, true},
    {"midm-2.0", llama3_list, true, true},
    {"glm4", llama3_list, false, false},
    {"chatglm-bpe", llama3_list, false, false},
    {"smaug-bpe", llama3_list, false, false},
    {"dbrx", llama3_list, false, false},
    {"qwen2", qwen2_list, false, false},
    {"deepseek-r1-qwen", qwen2_list, false, false},
    {"kormo", qwen2_list, false, false},
    {"openpangu", qwen2_list, false, false},
    {"stablelm2", qwen2_list, false, false},
    {"megrez", qwen2_list, false, false},
    {"qwen35", qwen35_list, false, false},
    {"tekken", tekken_list, true, true},
    {"gpt-4o", gpt4o_list, false, false},
    {"llama4", gpt4o_list, false, false},
    {"deepseek-llm", deepseek_llm_list, false, false},
    {"deepseek-coder", deepseek_coder_list, false, false},
    {"deepseek-v3", deepseek_v3_list, false, false},
    {"kimi-k2", kimi_k2_list, false, false},
};

const tnn__pretokenizer *tnn__pretokenizer_at(size_t i) {
    return i < sizeof table / sizeof table[0] ? &table[i] : NULL;
}

const tnn__pretokenizer *tnn__pretokenizer_find(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0) return &table[i];
    }
    return NULL;
}

static size_t without_last_spaces(const tnn__char *text, size_t pos, size_t end) {
    while (end > pos && is(text[end - 1], SPACE))
        end--;
    return end;
}

/* Cuts a segment by the first splitter into matches and the gaps between them, and each of those by the rest. */
static tnn_status split(const tnn__splitter *splitter, const tnn__char *text, size_t pos, size_t end, tnn__word_fn fn,
                        void *ctx) {
    if (!*splitter) return fn(ctx, text, pos, end);
    tnn_status status = TNN_OK;
    while (pos < end && !status) {
        size_t gap_end = *splitter == last_spaces ? without_last_spaces(text, pos, end) : pos, length = 0;
        while (gap_end < end && (length = (*splitter)(text, gap_end, end)) == 0)
            gap_end++;
        if (gap_end > pos) status = split(splitter + 1, text, pos, gap_end, fn, ctx);
        if (length && !status) status = split(splitter + 1, text, gap_end, gap_end + length, fn, ctx);
        pos = gap_end + length;
    }
    return status;
}

tnn_status tnn__pretokenize(const tnn__pretokenizer *p, const tnn__char *text, size_t n, tnn__word_fn fn, void *ctx) {
    return split(p->splitters, text, 0, n, fn, ctx);
}
