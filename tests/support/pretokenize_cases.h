/*
 * Texts and their words under each kind of pre-tokenizer, computed with Python's `regex` module from the published
 * patterns: every regular expression of a list in turn, gaps between matches kept.
 */
#ifndef TNN_TEST_PRETOKENIZE_CASES_H
#define TNN_TEST_PRETOKENIZE_CASES_H

/* U+001F stands between words. */
#define CUT "\x1f"

static const struct {
    const char *pre, *text, *words;
} cases[] = {
    {"gpt-2", "I'LL don't  1234567", "I" CUT "'" CUT "LL" CUT " don" CUT "'t" CUT " " CUT " 1234567"},
    {"smollm", "I'LL don't  1234567",
     "I" CUT "'" CUT "LL" CUT " don" CUT "'t" CUT "  " CUT "1" CUT "2" CUT "3" CUT "4" CUT "5" CUT "6" CUT "7"},
    {"llama-bpe", "I'LL don't  1234567", "I" CUT "'LL" CUT " don" CUT "'t" CUT " " CUT " " CUT "123" CUT "456" CUT "7"},
    {"qwen2", "I'LL don't  1234567",
     "I" CUT "'LL" CUT " don" CUT "'t" CUT " " CUT " " CUT "1" CUT "2" CUT "3" CUT "4" CUT "5" CUT "6" CUT "7"},
    {"qwen35", "I'LL don't  1234567",
     "I" CUT "'LL" CUT " don" CUT "'t" CUT " " CUT " " CUT "1" CUT "2" CUT "3" CUT "4" CUT "5" CUT "6" CUT "7"},
    {"tekken", "I'LL don't  1234567",
     "I" CUT "'LL" CUT " don" CUT "'t" CUT " " CUT " " CUT "1" CUT "2" CUT "3" CUT "4" CUT "5" CUT "6" CUT "7"},
    {"gpt-2", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"smollm", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t\t" CUT "7"},
    {"llama-bpe", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"qwen2", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"qwen35", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"tekken", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"gpt-2", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//" CUT "\n" CUT "\n" CUT "z"},
    {"smollm", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//" CUT "\n" CUT "\n" CUT "z"},
    {"llama-bpe", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"qwen2", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"qwen35", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"tekken", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"gpt-2", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"smollm", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"llama-bpe", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"qwen2", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"qwen35", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"tekken", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " Mc" CUT "Do" CUT "Nald"},
    {"gpt-2",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81" CUT "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"smollm",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81" CUT "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"llama-bpe",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81"
     "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"qwen2",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81"
     "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"qwen35",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e\xCC\x81"
     "te\xCC\x81" CUT " \xCC\x81"
     "x"},
    {"tekken",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81"
     "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"gpt-2",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0" CUT "hi" CUT " ह" CUT "\xE0\xA4\xBF" CUT "न" CUT "\xE0\xA5\x8D" CUT "द" CUT
     "\xE0\xA5\x80"},
    {"smollm",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0" CUT "hi" CUT " ह" CUT "\xE0\xA4\xBF" CUT "न" CUT "\xE0\xA5\x8D" CUT "द" CUT
     "\xE0\xA5\x80"},
    {"llama-bpe",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह" CUT "\xE0\xA4\xBF"
     "न" CUT "\xE0\xA5\x8D"
     "द" CUT "\xE0\xA5\x80"},
    {"qwen2",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह" CUT "\xE0\xA4\xBF"
     "न" CUT "\xE0\xA5\x8D"
     "द" CUT "\xE0\xA5\x80"},
    {"qwen35",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80"},
    {"tekken",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह" CUT "\xE0\xA4\xBF"
     "न" CUT "\xE0\xA5\x8D"
     "द" CUT "\xE0\xA5\x80"},
    {"gpt-2", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'" CUT "T" CUT " 12" CUT " 345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?" CUT "\r\n" CUT " end" CUT
     "   "},
    {"smollm", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'" CUT "T" CUT " " CUT "1" CUT "2" CUT " " CUT "3" CUT "4" CUT "5" CUT "," CUT "6" CUT "7" CUT "8" CUT
     "." CUT "9" CUT "!?" CUT "\r\n" CUT " end" CUT "   "},
    {"llama-bpe", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'T" CUT " " CUT "12" CUT " " CUT "345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?\r\n" CUT " end" CUT
     "   "},
    {"qwen2", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'T" CUT " " CUT "1" CUT "2" CUT " " CUT "3" CUT "4" CUT "5" CUT "," CUT "6" CUT "7" CUT "8" CUT "." CUT
     "9" CUT "!?\r\n" CUT " end" CUT "   "},
    {"qwen35", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'T" CUT " " CUT "1" CUT "2" CUT " " CUT "3" CUT "4" CUT "5" CUT "," CUT "6" CUT "7" CUT "8" CUT "." CUT
     "9" CUT "!?\r\n" CUT " end" CUT "   "},
    {"tekken", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'T" CUT " " CUT "1" CUT "2" CUT " " CUT "3" CUT "4" CUT "5" CUT "," CUT "6" CUT "7" CUT "8" CUT "." CUT
     "9" CUT "!?\r\n" CUT " end" CUT "   "},
    {"tekken", "aÉb", "aÉb"},
    {"default", "I'LL don't  1234567",
     "I" CUT "'" CUT "LL" CUT " don" CUT "'" CUT "t" CUT " " CUT " " CUT "123" CUT "456" CUT "7"},
    {"default", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"default", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//" CUT "\n" CUT "\n" CUT "z"},
    {"default", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"default",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81" CUT "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"default",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0" CUT "hi" CUT " ह" CUT "\xE0\xA4\xBF" CUT "न" CUT "\xE0\xA5\x8D" CUT "द" CUT
     "\xE0\xA5\x80"},
    {"default", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'" CUT "T" CUT " " CUT "12" CUT " " CUT "345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?" CUT "\r\n" CUT
     " end" CUT "   "},
    {"default", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'" CUT "s" CUT " I" CUT "'" CUT "LLx" CUT " O" CUT "'" CUT "Dell" CUT " a" CUT "'" CUT "b"},
    {"default", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " " CUT "+" CUT " `" CUT "x" CUT "`" CUT " " CUT "=" CUT " " CUT "~" CUT "123" CUT
     "45" CUT "|" CUT "y" CUT "\n\n" CUT "(" CUT "z" CUT ")" CUT " " CUT "-" CUT "word"},
    {"default", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "12"},
    {"default", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/" CUT "world" CUT "//" CUT "\n" CUT "/" CUT "x" CUT " " CUT "12" CUT "," CUT "345" CUT "." CUT
     "678" CUT "9"},
    {"default",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<" CUT "tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n " CUT " é" CUT "\xCC\x81" CUT "x"},
    {"default",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"falcon", "I'LL don't  1234567",
     "I" CUT "'" CUT "LL" CUT " don" CUT "'" CUT "t" CUT " " CUT " " CUT "123" CUT "456" CUT "7"},
    {"falcon", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"falcon", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//" CUT "\n" CUT "\n" CUT "z"},
    {"falcon", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"falcon",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81" CUT "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"falcon",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0" CUT "hi" CUT " ह" CUT "\xE0\xA4\xBF" CUT "न" CUT "\xE0\xA5\x8D" CUT "द" CUT
     "\xE0\xA5\x80"},
    {"falcon", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'" CUT "T" CUT " 12" CUT " " CUT "345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?" CUT "\r\n" CUT
     " end" CUT "   "},
    {"falcon", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'" CUT "s" CUT " I" CUT "'" CUT "LLx" CUT " O" CUT "'" CUT "Dell" CUT " a" CUT "'" CUT "b"},
    {"falcon", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " " CUT "+" CUT " " CUT "`" CUT "x" CUT "`" CUT " " CUT "=" CUT " " CUT "~" CUT
     "123" CUT "45" CUT "|" CUT "y" CUT "\n\n" CUT "(" CUT "z" CUT ")" CUT " " CUT "-" CUT "word"},
    {"falcon", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "12"},
    {"falcon", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/" CUT "world" CUT "//" CUT "\n" CUT "/" CUT "x" CUT " 12" CUT "," CUT "345" CUT "." CUT "678" CUT
     "9"},
    {"falcon",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<" CUT "tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n " CUT " é" CUT "\xCC\x81" CUT "x"},
    {"falcon",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"gpt-4o", "I'LL don't  1234567", "I'LL" CUT " don't" CUT " " CUT " " CUT "123" CUT "456" CUT "7"},
    {"gpt-4o", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"gpt-4o", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"gpt-4o", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " Mc" CUT "Do" CUT "Nald"},
    {"gpt-4o",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81"
     "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"gpt-4o",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह" CUT "\xE0\xA4\xBF"
     "न" CUT "\xE0\xA5\x8D"
     "द" CUT "\xE0\xA5\x80"},
    {"gpt-4o", "don'T 12 345,678.9!?\r\n end   ",
     "don'T" CUT " " CUT "12" CUT " " CUT "345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?\r\n" CUT " end" CUT "   "},
    {"gpt-4o", "ÉCOLE's I'LLx O'Dell a'b", "É" CUT "COLE's" CUT " I'LL" CUT "x" CUT " O'D" CUT "ell" CUT " a" CUT "'b"},
    {"gpt-4o", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "123" CUT "45" CUT "|y" CUT
     "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"gpt-4o", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "12"},
    {"gpt-4o", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n/" CUT "x" CUT " " CUT "12" CUT "," CUT "345" CUT "." CUT "678" CUT "9"},
    {"gpt-4o",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é" CUT "\xCC\x81"
     "x"},
    {"gpt-4o",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"deepseek-coder", "I'LL don't  1234567",
     "I" CUT "'" CUT "LL" CUT " don" CUT "'" CUT "t" CUT "  " CUT "1" CUT "2" CUT "3" CUT "4" CUT "5" CUT "6" CUT "7"},
    {"deepseek-coder", "a  \n\n b\t\t7", "a" CUT "  " CUT "\n" CUT "\n" CUT " b" CUT "\t\t" CUT "7"},
    {"deepseek-coder", "x=  y//\n\nz", "x" CUT "= " CUT " y" CUT "//" CUT "\n" CUT "\n" CUT "z"},
    {"deepseek-coder", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"deepseek-coder",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81" CUT "te" CUT "\xCC\x81"
     " \xCC\x81" CUT "x"},
    {"deepseek-coder",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " " CUT "ह" CUT "\xE0\xA4\xBF" CUT "न" CUT "\xE0\xA5\x8D" CUT "द" CUT "\xE0\xA5\x80"},
    {"deepseek-coder", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'" CUT "T" CUT " " CUT "1" CUT "2" CUT " " CUT "3" CUT "4" CUT "5" CUT "," CUT "6" CUT "7" CUT "8" CUT
     "." CUT "9" CUT "!?" CUT "\r" CUT "\n" CUT " end" CUT "   "},
    {"deepseek-coder", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'" CUT "s" CUT " I" CUT "'" CUT "LLx" CUT " O" CUT "'" CUT "Dell" CUT " a" CUT "'" CUT "b"},
    {"deepseek-coder", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "5" CUT "0" CUT " + `" CUT "x" CUT "` = ~" CUT "1" CUT "2" CUT "3" CUT "4" CUT "5" CUT
     "|" CUT "y" CUT "\n" CUT "\n" CUT "(" CUT "z" CUT ")" CUT " -" CUT "word"},
    {"deepseek-coder", "中文abc日本語カナ한국12", "中文" CUT "abc" CUT "日本語カナ한국" CUT "1" CUT "2"},
    {"deepseek-coder", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/" CUT "world" CUT "//" CUT "\n" CUT "/" CUT "x" CUT " " CUT "1" CUT "2" CUT "," CUT "3" CUT "4" CUT
     "5" CUT "." CUT "6" CUT "7" CUT "8" CUT "9"},
    {"deepseek-coder",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<" CUT "tag" CUT " attr" CUT "=" CUT "'" CUT "v" CUT "'" CUT ">  \t" CUT "\r" CUT "\n" CUT " " CUT " é" CUT
     "\xCC\x81" CUT "x"},
    {"deepseek-coder",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80"
     " \xCC\x81" CUT "y" CUT " " CUT " " CUT "中" CUT "\xCC\x81"},
    {"deepseek-v3", "I'LL don't  1234567", "I" CUT "'LL" CUT " don" CUT "'t" CUT "  " CUT "123" CUT "456" CUT "7"},
    {"deepseek-v3", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t\t" CUT "7"},
    {"deepseek-v3", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"deepseek-v3", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"deepseek-v3",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e\xCC\x81"
     "te\xCC\x81" CUT " \xCC\x81"
     "x"},
    {"deepseek-v3",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80"},
    {"deepseek-v3", "don'T 12 345,678.9!?\r\n end   ",
     "don" CUT "'T" CUT " " CUT "12" CUT " " CUT "345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?\r\n" CUT " end" CUT
     "   "},
    {"deepseek-v3", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'s" CUT " I" CUT "'LLx" CUT " O" CUT "'Dell" CUT " a" CUT "'b"},
    {"deepseek-v3", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "123" CUT "45" CUT "|y" CUT
     "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"deepseek-v3", "中文abc日本語カナ한국12", "中文" CUT "abc" CUT "日本語カナ" CUT "한국" CUT "12"},
    {"deepseek-v3", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n" CUT "/x" CUT " " CUT "12" CUT "," CUT "345" CUT "." CUT "678" CUT "9"},
    {"deepseek-v3",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é\xCC\x81"
     "x"},
    {"deepseek-v3",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x\xCC\x80" CUT " \xCC\x81"
     "y" CUT "  " CUT "中" CUT "\xCC\x81"},
    {"kimi-k2", "I'LL don't  1234567", "I'LL" CUT " don't" CUT " " CUT " " CUT "123" CUT "456" CUT "7"},
    {"kimi-k2", "a  \n\n b\t\t7", "a" CUT "  \n\n" CUT " b" CUT "\t" CUT "\t" CUT "7"},
    {"kimi-k2", "x=  y//\n\nz", "x" CUT "=" CUT " " CUT " y" CUT "//\n\n" CUT "z"},
    {"kimi-k2", "ÉCOLEabc McDoNald", "ÉCOLEabc" CUT " McDoNald"},
    {"kimi-k2",
     "e\xCC\x81"
     "te\xCC\x81"
     " \xCC\x81"
     "x",
     "e" CUT "\xCC\x81"
     "te" CUT "\xCC\x81" CUT " \xCC\x81" CUT "x"},
    {"kimi-k2",
     "\xC2\xA0"
     "\xC2\xA0"
     "hi ह\xE0\xA4\xBF"
     "न\xE0\xA5\x8D"
     "द\xE0\xA5\x80",
     "\xC2\xA0" CUT "\xC2\xA0"
     "hi" CUT " ह" CUT "\xE0\xA4\xBF"
     "न" CUT "\xE0\xA5\x8D"
     "द" CUT "\xE0\xA5\x80"},
    {"kimi-k2", "don'T 12 345,678.9!?\r\n end   ",
     "don'T" CUT " " CUT "12" CUT " " CUT "345" CUT "," CUT "678" CUT "." CUT "9" CUT "!?\r\n" CUT " end" CUT "   "},
    {"kimi-k2", "ÉCOLE's I'LLx O'Dell a'b", "ÉCOLE's" CUT " I'LL" CUT "x" CUT " O'D" CUT "ell" CUT " a" CUT "'b"},
    {"kimi-k2", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "123" CUT "45" CUT "|y" CUT
     "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"kimi-k2", "中文abc日本語カナ한국12", "中文" CUT "abc" CUT "日本語" CUT "カナ한국" CUT "12"},
    {"kimi-k2", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n" CUT "/x" CUT " " CUT "12" CUT "," CUT "345" CUT "." CUT "678" CUT "9"},
    {"kimi-k2",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é" CUT "\xCC\x81"
     "x"},
    {"kimi-k2",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " " CUT "中" CUT "\xCC\x81"},
    {"gpt-2", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'s" CUT " I" CUT "'" CUT "LLx" CUT " O" CUT "'" CUT "Dell" CUT " a" CUT "'" CUT "b"},
    {"gpt-2", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "12345" CUT "|" CUT "y" CUT
     "\n" CUT "\n" CUT "(" CUT "z" CUT ")" CUT " -" CUT "word"},
    {"gpt-2", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "12"},
    {"gpt-2", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/" CUT "world" CUT "//" CUT "\n" CUT "/" CUT "x" CUT " 12" CUT "," CUT "345" CUT "." CUT "6789"},
    {"gpt-2",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<" CUT "tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n " CUT " é" CUT "\xCC\x81" CUT "x"},
    {"gpt-2",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"smollm", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'s" CUT " I" CUT "'" CUT "LLx" CUT " O" CUT "'" CUT "Dell" CUT " a" CUT "'" CUT "b"},
    {"smollm", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "5" CUT "0" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "1" CUT "2" CUT "3" CUT
     "4" CUT "5" CUT "|" CUT "y" CUT "\n" CUT "\n" CUT "(" CUT "z" CUT ")" CUT " -" CUT "word"},
    {"smollm", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "1" CUT "2"},
    {"smollm", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/" CUT "world" CUT "//" CUT "\n" CUT "/" CUT "x" CUT " " CUT "1" CUT "2" CUT "," CUT "3" CUT "4" CUT
     "5" CUT "." CUT "6" CUT "7" CUT "8" CUT "9"},
    {"smollm",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<" CUT "tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n " CUT " é" CUT "\xCC\x81" CUT "x"},
    {"smollm",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"llama-bpe", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'s" CUT " I" CUT "'LL" CUT "x" CUT " O" CUT "'D" CUT "ell" CUT " a" CUT "'b"},
    {"llama-bpe", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "50" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "123" CUT "45" CUT "|y" CUT
     "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"llama-bpe", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "12"},
    {"llama-bpe", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n" CUT "/x" CUT " " CUT "12" CUT "," CUT "345" CUT "." CUT "678" CUT "9"},
    {"llama-bpe",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é" CUT "\xCC\x81"
     "x"},
    {"llama-bpe",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"qwen2", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'s" CUT " I" CUT "'LL" CUT "x" CUT " O" CUT "'D" CUT "ell" CUT " a" CUT "'b"},
    {"qwen2", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "5" CUT "0" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "1" CUT "2" CUT "3" CUT
     "4" CUT "5" CUT "|y" CUT "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"qwen2", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "1" CUT "2"},
    {"qwen2", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n" CUT "/x" CUT " " CUT "1" CUT "2" CUT "," CUT "3" CUT "4" CUT "5" CUT "." CUT
     "6" CUT "7" CUT "8" CUT "9"},
    {"qwen2",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é" CUT "\xCC\x81"
     "x"},
    {"qwen2",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"qwen35", "ÉCOLE's I'LLx O'Dell a'b",
     "ÉCOLE" CUT "'s" CUT " I" CUT "'LL" CUT "x" CUT " O" CUT "'D" CUT "ell" CUT " a" CUT "'b"},
    {"qwen35", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "5" CUT "0" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "1" CUT "2" CUT "3" CUT
     "4" CUT "5" CUT "|y" CUT "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"qwen35", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "1" CUT "2"},
    {"qwen35", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n" CUT "/x" CUT " " CUT "1" CUT "2" CUT "," CUT "3" CUT "4" CUT "5" CUT "." CUT
     "6" CUT "7" CUT "8" CUT "9"},
    {"qwen35",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é\xCC\x81"
     "x"},
    {"qwen35",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x\xCC\x80" CUT " \xCC\x81"
     "y" CUT " " CUT " 中\xCC\x81"},
    {"tekken", "ÉCOLE's I'LLx O'Dell a'b",
     "É" CUT "COLE" CUT "'s" CUT " I" CUT "'LLx" CUT " O" CUT "'Dell" CUT " a" CUT "'b"},
    {"tekken", "$3.50 + `x` = ~12345|y\n\n(z) -word",
     "$" CUT "3" CUT "." CUT "5" CUT "0" CUT " +" CUT " `" CUT "x" CUT "`" CUT " =" CUT " ~" CUT "1" CUT "2" CUT "3" CUT
     "4" CUT "5" CUT "|y" CUT "\n\n" CUT "(z" CUT ")" CUT " -" CUT "word"},
    {"tekken", "中文abc日本語カナ한국12", "中文abc日本語カナ한국" CUT "1" CUT "2"},
    {"tekken", "hello/world//\n/x 12,345.6789",
     "hello" CUT "/world" CUT "//\n/" CUT "x" CUT " " CUT "1" CUT "2" CUT "," CUT "3" CUT "4" CUT "5" CUT "." CUT
     "6" CUT "7" CUT "8" CUT "9"},
    {"tekken",
     "<tag attr='v'>  \t\r\n  é\xCC\x81"
     "x",
     "<tag" CUT " attr" CUT "='" CUT "v" CUT "'>" CUT "  \t\r\n" CUT " " CUT " é" CUT "\xCC\x81"
     "x"},
    {"tekken",
     "x\xCC\x80"
     " \xCC\x81"
     "y  中\xCC\x81",
     "x" CUT "\xCC\x80" CUT " \xCC\x81" CUT "y" CUT " " CUT " 中" CUT "\xCC\x81"},
    {"deepseek-llm", "I'LL don't  1234567 ",
     "I" CUT "'" CUT "LL" CUT " don" CUT "'" CUT "t" CUT "  " CUT "1234567" CUT " "},
    {"deepseek-llm", "a  \n\n b\t\t7   ", "a" CUT "  " CUT "\n" CUT "\n" CUT " b" CUT "\t\t" CUT "7" CUT "   "},
    {"deepseek-llm",
     "École Ärzte\xE3\x80\x80"
     "。x 日本語 한국 ﬁ ß",
     "É" CUT "cole" CUT " Ä" CUT "rzte" CUT "\xE3\x80\x80"
     "。" CUT "x" CUT " " CUT "日本語" CUT " " CUT "한국" CUT " ﬁ" CUT " ß"},
    {"deepseek-llm",
     "x  7  \xE3\x80\x80"
     "！ ‘a’ -- end  ",
     "x" CUT "  " CUT "7" CUT " " CUT " " CUT "\xE3\x80\x80"
     "" CUT "！" CUT " " CUT "‘" CUT "a" CUT "’" CUT " --" CUT " end" CUT "  "},
};

#endif
