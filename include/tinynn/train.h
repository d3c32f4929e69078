/*
 * Training runs: a recipe, its configuration, and a folder that holds everything about it: config.json, events.jsonl,
 * checkpoints/, and at the end model.gguf or adapter.gguf. A run that was stopped, however, is taken up again from the
 * folder alone, and goes on bit for bit as if it had not been.
 */
#ifndef TINYNN_TRAIN_H
#define TINYNN_TRAIN_H

#include <tinynn/dataset.h>
#include <tinynn/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* enumerator, name in the command and in config.json */
#define TNN_RECIPE_LIST(X)                                                                                             \
    X(SCRATCH, "scratch")       /* random weights, a shape from numbers or from another model */                       \
    X(WARM_START, "warm-start") /* goes on with a model, or takes its embeddings into a new body */                    \
    X(FULL, "full")             /* every weight of a model */                                                          \
    X(LORA, "lora")             /* low-rank pairs beside the linears of a frozen model */                              \
    X(LENS, "lens")             /* a donor's frozen embedding through a trained projection into a new body */

typedef enum tnn_recipe {
#define X(id, name) TNN_RECIPE_##id,
    TNN_RECIPE_LIST(X)
#undef X
        TNN_RECIPE_COUNT
} tnn_recipe;

#define TNN_SCHEDULE_LIST(X)                                                                                           \
    X(CONSTANT, "constant")                                                                                            \
    X(LINEAR, "linear") /* to zero at the last step */                                                                 \
    X(COSINE, "cosine") /* to a tenth at the last step */

typedef enum tnn_schedule {
#define X(id, name) TNN_SCHEDULE_##id,
    TNN_SCHEDULE_LIST(X)
#undef X
        TNN_SCHEDULE_COUNT
} tnn_schedule;

/* --- configuration --- */

/*
 * Every setting of a run: kind, name, default, least, most, help. Kinds: STRING (empty: not given), INT (int64_t),
 * FLOAT (double), FLAG (bool), CHOICE (int64_t, one of a list). The command makes its flags from this table,
 * config.json its keys.
 */
#define TNN_TRAIN_SETTINGS(STRING, INT, FLOAT, FLAG, RECIPE, SCHEDULE, OPTIMIZER)                                      \
    RECIPE(recipe, "what is trained")                                                                                  \
    STRING(model, "", "model to train, or the donor")                                                                  \
    STRING(data, "", "folder of train.jsonl, valid.jsonl, test.jsonl")                                                 \
    STRING(text, "", "text file to train on instead")                                                                  \
    STRING(valid_text, "", "text file for validation")                                                                 \
    STRING(tokenizer, "", "GGUF whose tokenizer is taken, or \"bytes\"")                                               \
    STRING(like, "", "new body: GGUF whose shape is taken")                                                            \
    STRING(chat_template, "", "name of the chat template, instead of the model's own")                                 \
    STRING(system, "", "system message of rows that have none")                                                        \
    INT(iters, 1000, 1, 100000000, "steps of the optimizer")                                                           \
    INT(num_epochs, 0, 0, 1000000, "passes over the data, instead of iters; 0: iters counts")                          \
    INT(batch_size, 4, 1, 65536, "sequences of full length in a batch")                                                \
    INT(max_seq_length, 2048, 2, 1048576, "tokens of a sequence")                                                      \
    INT(grad_accumulation_steps, 1, 1, 65536, "batches in a step")                                                     \
    FLAG(new_body, false,                                                                                              \
         "the model's embeddings in a new body, instead of going on with it; learning_rate is 0.001 unless given")     \
    FLOAT(learning_rate, 1e-5, 0, 100, "peak learning rate")                                                           \
    SCHEDULE(lr_scheduler, "course of the learning rate after warmup")                                                 \
    INT(warmup_steps, 0, 0, 100000000, "steps over which the learning rate rises from zero")                           \
    FLOAT(warmup_ratio, 0, 0, 1, "the same as a share of all steps; counts where warmup_steps is 0")                   \
    OPTIMIZER(optimizer, "adamw, sgd, or muon: Muon for the matrices of the blocks, AdamW for the rest")               \
    FLOAT(weight_decay, 0.01, 0, 100, "decoupled weight decay of matrices")                                            \
    FLOAT(beta1, 0.9, 0, 0.999999, "AdamW: decay of the first moment")                                                 \
    FLOAT(beta2, 0.999, 0, 0.9999999, "AdamW: decay of the second moment")                                             \
    FLOAT(eps, 1e-8, 0, 1, "AdamW: epsilon")                                                                           \
    FLOAT(momentum, 0, 0, 0.999999, "SGD: momentum")                                                                   \
    FLOAT(muon_momentum, 0.95, 0, 0.999999, "Muon: momentum")                                                          \
    FLOAT(grad_clip, 1, 0, 1e9, "largest gradient norm; 0: no limit")                                                  \
    INT(seed, 0, 0, INT64_MAX, "of weights and order")                                                                 \
    FLAG(mask_prompt, true, "loss on the answers alone")                                                               \
    STRING(dtype, "f32", "type that products with weights are computed in: f32 or bf16; what is kept stays f32")       \
    FLAG(grad_checkpoint, false, "compute layers again on the way back, to save memory")                               \
    INT(lora_rank, 8, 1, 4096, "rank of the pairs")                                                                    \
    FLOAT(lora_alpha, 16, 0, 1e6, "strength of the pairs: alpha / rank")                                               \
    FLOAT(lora_dropout, 0, 0, 0.99, "share of what goes into the pairs that is left out, in training")                 \
    FLAG(rslora, false, "strength alpha / sqrt(rank)")                                                                 \
    STRING(lora_modules, "all-linear",                                                                                 \
           "linears that get pairs: attn_q,ffn_up,...; all-linear: those of the blocks; output: an untied output")     \
    INT(num_layers, -1, -1, 4096, "last layers that get pairs; -1: all")                                               \
    INT(d_model, 256, 1, 1048576, "new body: width")                                                                   \
    INT(n_layers, 4, 1, 4096, "new body: layers")                                                                      \
    INT(n_heads, 8, 1, 65536, "new body: query heads")                                                                 \
    INT(n_kv_heads, 0, 0, 65536, "new body: key heads; 0: as many as query heads")                                     \
    INT(d_head, 0, 0, 65536, "new body: width of a head; 0: d_model / n_heads")                                        \
    INT(d_ff, 768, 1, 16777216, "new body: width of the feed-forward")                                                 \
    INT(context_length, 0, 0, 2147483647, "new body: context written to the model; 0: max_seq_length")                 \
    FLOAT(rope_base, 10000, 1.001, 1e12, "new body: RoPE base")                                                        \
    FLAG(untied, false, "new body: an output matrix of its own")                                                       \
    STRING(layer_kinds, "", "new body: kinds of its layers, attention or gdn, as a pattern that repeats")              \
    INT(gdn_key_heads, 0, 0, 65536, "gdn layers: key heads; 0: n_heads")                                               \
    INT(gdn_value_heads, 0, 0, 65536, "gdn layers: value heads; 0: gdn_key_heads")                                     \
    INT(gdn_head_dim, 0, 0, 4096, "gdn layers: width of a head; 0: d_head")                                            \
    INT(gdn_conv, 4, 0, 16, "gdn layers: taps of the short convolution; 0: simplified layers, without FFN")            \
    INT(steps_per_report, 10, 1, 100000000, "steps between two progress lines")                                        \
    INT(steps_per_eval, 200, 1, 100000000, "steps between two validations")                                            \
    INT(val_batches, 25, -1, 100000000, "batches of a validation; -1: all")                                            \
    INT(save_every, 100, 0, 100000000, "steps between two checkpoints; 0: at the end alone")                           \
    INT(keep, 2, 1, 1000, "checkpoints kept")                                                                          \
    INT(patience, 0, 0, 1000000, "validations without a gain before a run ends; 0: no limit")                          \
    STRING(save_type, "F32", "type of the matrices of model.gguf")                                                     \
    STRING(sample_prompt, "",                                                                                          \
           "before, with each validation and after: what the model says to this goes into the report")                 \
    INT(sample_tokens, 64, 1, 4096, "tokens of a sample at most")                                                      \
    FLAG(grad_stats, false, "with each progress line, the norm of every parameter's gradient goes into the events")    \
    STRING(tap, "", "stages whose statistics go into the events, as patterns")

typedef struct tnn_train_config {
#define TNN__STRING(name, def, help)        const char *name;
#define TNN__INT(name, def, lo, hi, help)   int64_t name;
#define TNN__FLOAT(name, def, lo, hi, help) double name;
#define TNN__FLAG(name, def, help)          bool name;
#define TNN__CHOICE(name, help)             int64_t name;
    TNN_TRAIN_SETTINGS(TNN__STRING, TNN__INT, TNN__FLOAT, TNN__FLAG, TNN__CHOICE, TNN__CHOICE, TNN__CHOICE)
#undef TNN__STRING
#undef TNN__INT
#undef TNN__FLOAT
#undef TNN__FLAG
#undef TNN__CHOICE
} tnn_train_config;

/* Defaults depend on the recipe where the table's would serve it badly: random weights learn at a rate of 1e-3. */
TNN_API tnn_train_config tnn_train_config_default(tnn_recipe recipe);

typedef enum tnn_setting_kind {
    TNN_SETTING_STRING,
    TNN_SETTING_INT,
    TNN_SETTING_FLOAT,
    TNN_SETTING_FLAG,
    TNN_SETTING_CHOICE
} tnn_setting_kind;

typedef struct tnn_setting {
    const char *name; /* as in config.json: words joined by '_' */
    tnn_setting_kind kind;
    const char *help;
    double lo, hi;            /* INT, FLOAT */
    const char *const *names; /* CHOICE: NULL ends the list */
    size_t offset;            /* in tnn_train_config */
    unsigned recipes;         /* bit (1 << recipe): those it fits */
} tnn_setting;

TNN_API int tnn_n_settings(void);
TNN_API bool tnn_setting_get(int i, tnn_setting *out); /* false out of range */
/*
 * Sets one by name ('-' counts as '_'). text is kept, not copied. E_NOTFOUND for a name there is none of, E_ARG for a
 * value that is no number, out of range or not in the list, or a setting that does not fit the recipe; the error says
 * what would do. new_body also sets learning_rate, to the default of a body that is random or is not: set it first.
 */
TNN_API tnn_status tnn_train_config_set(tnn_train_config *c, const char *name, const char *text, tnn_error *err);

/* --- running --- */

typedef struct tnn_train_progress {
    int64_t step, n_steps;
    double loss; /* mean of the step */
    double lr, grad_norm;
    double tokens_per_second, seconds_left;
    int64_t n_tokens; /* so far */
    bool is_eval;     /* after a validation: these hold */
    double val_loss, best_val_loss;
} tnn_train_progress;

typedef struct tnn_train_hooks {
    /* Per reported step and per validation; of a run that had ended already, the last of both again. NULL: none. */
    void (*on_progress)(void *ctx, const tnn_train_progress *p);
    void (*on_message)(void *ctx, const char *line); /* what was cut, skipped, restored; NULL: none */
    bool (*should_stop)(void *ctx); /* asked between steps; true: save a checkpoint and end with E_CANCELLED */
    void *ctx;
} tnn_train_hooks;

/* What a run will take, before it takes it. */
typedef struct tnn_train_plan {
    tnn_dataset_stats train, valid;
    int64_t n_params; /* trained */
    int64_t n_steps;
    int64_t tokens_per_step; /* at most */
    int64_t batches_per_step, batches_per_epoch;
    size_t weight_bytes, trainer_bytes; /* held weights; gradients, moments and workspace */
    size_t mapped_bytes;                /* of the model's file, which the system may give up and read again */
    size_t memory_bytes;                /* all of these, the data and its batches */
    const char *result;                 /* name of the file in the folder of the run that will hold the result */
} tnn_train_plan;

typedef struct tnn_run tnn_run; /* a run that is set up */

/*
 * Sets a run up: reads model and data, makes weights, pairs and trainer. Nothing is written. config is copied, but not
 * the strings in it: they, and s, must outlive the run. On failure *out is NULL. Errors name the setting, file, row or
 * tensor.
 */
TNN_API tnn_status tnn_run_new(tnn_run **out, tnn_session *s, const tnn_train_config *config, tnn_error *err);
TNN_API void tnn_run_free(tnn_run *r); /* NULL is allowed */
TNN_API tnn_train_plan tnn_run_plan(const tnn_run *r);
/* Seconds, estimated. */
typedef struct tnn_train_times {
    double step;               /* its batches and the update */
    double validation, sample; /* one of each; 0: the run has none */
    double save;               /* of a checkpoint, at 400 MB/s */
    double all;                /* the run, from its first step to its result */
} tnn_train_times;

/*
 * Estimates how long a run takes from about two seconds of computing on its own data. The run is then only to be freed:
 * its gradients and moments have been used up, and tnn_run_train refuses it (E_STATE).
 */
TNN_API tnn_status tnn_run_measure(tnn_run *r, tnn_train_times *out, tnn_error *err);
TNN_API const tnn_dataset *tnn_run_data(const tnn_run *r); /* of training; lent */
TNN_API const tnn_tokenizer *tnn_run_tokenizer(const tnn_run *r);

/*
 * Trains into the folder `out`, which is made if need be, from its last whole checkpoint if it has one. E_CANCELLED
 * when should_stop said so: the state is saved. A run trains once; its folder is opened to go on. E_ARG for a new run
 * where a file is that it would write over. A save that fails is told through on_message and the run goes on.
 */
TNN_API tnn_status tnn_run_train(tnn_run *r, const char *out, const tnn_train_hooks *hooks, tnn_error *err);

/* A run as its folder's config.json describes it. Strings live as long as the run. */
TNN_API tnn_status tnn_run_open(tnn_run **out, tnn_session *s, const char *folder, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
