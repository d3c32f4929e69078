/*
 * The loop of a run: batches, steps, validation, checkpoints, events. What it does at a step depends on the settings
 * and the state alone, so that a run taken up from a checkpoint goes on as it would have.
 */
#include "recipes/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/checkpoint.h"
#include "engine/events.h"
#include "engine/report.h"

typedef struct loop {
    tnn_run *r;
    const char *out;
    const tnn_train_hooks *hooks;
    tnn__events *events;
    tnn_checkpoint_state state;
    tnn_batch_buffer *batches; /* of one step */
    int64_t n_batches;
    double start;        /* of this process's part of the run */
    double steps_start;  /* of its first step */
    double report_start; /* since the last report, validations and samples left out */
    int64_t start_step, report_tokens;
    int64_t last_tokens; /* of the last batch of the step; the rows after them are padding */
    int lock;            /* descriptor of config.json; -1: none */
    tnn_error *err;      /* never NULL */
} loop;

#define PATH_SIZE 4096

static void say(const loop *l, const char *fmt, ...) TNN__PRINTF(2, 3);
static void say(const loop *l, const char *fmt, ...) {
    if (!l->hooks->on_message) return;
    char line[TNN_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    tnn__vline(line, fmt, args);
    va_end(args);
    l->hooks->on_message(l->hooks->ctx, line);
}

static const char *path_in(const loop *l, const char *name, char buf[PATH_SIZE]) {
    snprintf(buf, PATH_SIZE, "%s/%s", l->out, name);
    return buf;
}

static const char *checkpoint_path(const loop *l, int64_t step, char buf[PATH_SIZE]) {
    snprintf(buf, PATH_SIZE, "%s/checkpoints/step-%010" PRId64 ".ckpt", l->out, step);
    return buf;
}

/* --- folder --- */

static tnn_status make_folder(const char *path, tnn_error *err) {
    char reason[TNN__ERRNO_TEXT];
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return TNN_OK;
    return tnn__fail(err, TNN_E_IO, "%s: the folder cannot be made: %s", path, tnn__errno_text(errno, reason));
}

static tnn_status make_folders(const loop *l) {
    char path[PATH_SIZE];
    if (strlen(l->out) + 64 > PATH_SIZE) return tnn__fail(l->err, TNN_E_ARG, "the path of the run is too long");
    /* Every folder on the way, as for runs/name. */
    for (size_t i = 1; l->out[i]; i++) {
        if (l->out[i] != '/') continue;
        memcpy(path, l->out, i);
        path[i] = 0;
        tnn_status status = make_folder(path, l->err);
        if (status) return status;
    }
    tnn_status status = make_folder(l->out, l->err);
    return status ? status : make_folder(path_in(l, "checkpoints", path), l->err);
}

static tnn_status write_config(const loop *l) {
    char path[PATH_SIZE];
    tnn__atomic_file *f;
    char *text = tnn__config_to_json(&l->r->config, &l->r->hashes);
    if (!text) return tnn__fail_nomem(l->err, "config.json", 0);
    const tnn_allocator *a = &l->r->session->alloc;
    tnn_status status = tnn__atomic_open(&f, path_in(l, "config.json", path), strlen(text), NULL, a, l->err);
    if (!status) {
        status = tnn__atomic_write(f, text, strlen(text), l->err);
        if (status) {
            tnn__atomic_abort(f);
        } else {
            status = tnn__atomic_commit(f, l->err);
        }
    }
    free(text);
    return status;
}

/* --- checkpoints --- */

/* The newest step below `below` that has a checkpoint in the folder, or -1. */
static int64_t checkpoint_below(const loop *l, int64_t below) {
    char path[PATH_SIZE];
    int64_t newest = -1;
    DIR *folder = opendir(path_in(l, "checkpoints", path));
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        int64_t step;
        int end = 0;
        if (sscanf(entry->d_name, "step-%" SCNd64 ".ckpt%n", &step, &end) != 1 || end == 0 || entry->d_name[end])
            continue;
        if (step < below && step > newest) newest = step;
    }
    if (folder) closedir(folder);
    return newest;
}

/* A save that fails costs nothing but itself: the run goes on. */
static bool save(loop *l) {
    char path[PATH_SIZE];
    tnn_error why;
    int64_t step = tnn_trainer_step(l->r->trainer);
    checkpoint_path(l, step, path);
    l->state.base_hash = l->r->hashes.base;
    tnn_status status =
        tnn__checkpoint_save(path, l->r->trainer, &l->state, l->r->file_ops, &l->r->session->alloc, &why);
    tnn_checkpoint_state written;
    if (!status) status = tnn_checkpoint_peek(path, &written, &l->r->session->alloc, &why);
    if (status) {
        say(l, "step %" PRId64 " was not saved: %s", step, why.text);
        return false;
    }
    const tnn__field fields[] = {TNN__TEXT_FIELD("path", path)};
    tnn__events_put(l->events, "checkpoint", step, fields, 1);
    int64_t old = step;
    for (int64_t kept = 1; old >= 0; kept++) {
        old = checkpoint_below(l, old);
        if (kept >= l->r->config.keep && old >= 0) unlink(checkpoint_path(l, old, path));
    }
    return true;
}

/* What a run writes beside its checkpoints. */
static const char *const run_files[] = {"config.json", "events.jsonl", "best.gguf",
                                        "model.gguf",  "adapter.gguf", "report.html"};
enum { N_RUN_FILES = sizeof run_files / sizeof *run_files };

static bool is_unfinished(const char *name) {
    int end = 0;
    if (sscanf(name, "step-%*d.ckpt.tmp-%n", &end) >= 0 && end > 0) return true;
    for (int i = 0; i < N_RUN_FILES; i++) {
        size_t n = strlen(run_files[i]);
        if (strncmp(name, run_files[i], n) == 0 && strncmp(name + n, ".tmp-", 5) == 0) return true;
    }
    return false;
}

/* Halves of files, left by a process that was killed while it saved. */
static void remove_unfinished(const char *path) {
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        if (is_unfinished(entry->d_name)) unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder) closedir(folder);
}

/* The newest checkpoint that is whole; without one, the run begins at its first step. */
static tnn_status restore(loop *l) {
    char path[PATH_SIZE];
    tnn_error why;
    remove_unfinished(l->out);
    remove_unfinished(path_in(l, "checkpoints", path));
    for (int64_t step = checkpoint_below(l, l->r->config.iters + 1); step >= 0; step = checkpoint_below(l, step)) {
        tnn_checkpoint_state state;
        tnn_status status = tnn_checkpoint_peek(checkpoint_path(l, step, path), &state, NULL, &why);
        if (!status && state.base_hash != l->r->hashes.base) {
            return tnn__fail(l->err, TNN_E_STATE,
                             "%s has changed since this run began; put the old file back, or start a new run",
                             l->r->config.model);
        }
        if (!status && state.step != step)
            status = tnn__fail(&why, TNN_E_FORMAT, "checkpoint %s holds step %" PRId64 ", not that of its name", path,
                               state.step);
        if (!status) status = tnn_checkpoint_load(path, l->r->trainer, &l->state, NULL, &why);
        if (!status) {
            say(l, "goes on from step %" PRId64, step);
            return TNN_OK;
        }
        /* Whole, but of other settings: to begin again would write over what it holds. */
        if (status == TNN_E_SHAPE)
            return tnn__fail(l->err, TNN_E_STATE, "%s; put config.json back as it was, or start a new run", why.text);
        say(l, "%s", why.text);
    }
    say(l, "%s has no whole checkpoint: begins at step 0", l->out);
    return TNN_OK;
}

/* --- learning rate --- */

/* Of step i in [0, iters). */
static float learning_rate(const tnn_train_config *c, int64_t i) {
    const double pi = 3.141592653589793;
    if (i < c->warmup_steps) return (float)(c->learning_rate * (double)(i + 1) / (double)c->warmup_steps);
    double rest = (double)(c->iters - c->warmup_steps), done = rest > 0 ? (double)(i - c->warmup_steps) / rest : 0;
    switch ((tnn_schedule)c->lr_scheduler) {
    case TNN_SCHEDULE_LINEAR:
        return (float)(c->learning_rate * (1.0 - done));
    case TNN_SCHEDULE_COSINE:
        return (float)(c->learning_rate * (0.1 + 0.45 * (1.0 + cos(pi * done))));
    case TNN_SCHEDULE_CONSTANT:
    case TNN_SCHEDULE_COUNT:
        break;
    }
    return (float)c->learning_rate;
}

/* --- steps --- */

static bool stop_asked(const loop *l) {
    return l->hooks->should_stop && l->hooks->should_stop(l->hooks->ctx);
}

/* Fills the batches of one step; their weights make a mean over the whole step. */
static void fill_step(loop *l) {
    int64_t n_targets = 0;
    for (int64_t i = 0; i < l->n_batches; i++) {
        tnn_batch_fill(&l->batches[i], l->r->train, &l->state.cursor, true);
        n_targets += l->batches[i].n_targets;
    }
    for (int64_t i = 0; i < l->n_batches; i++) {
        tnn_batch_scale(&l->batches[i], n_targets);
        l->state.n_tokens += l->batches[i].n_tokens;
        l->last_tokens = l->batches[i].n_tokens;
    }
}

/* Whether the step that makes `step` updates is told about. */
static bool is_reported(const tnn_train_config *c, int64_t step) {
    return step % c->steps_per_report == 0 || step == c->iters || step == 1;
}

/* Norm and largest magnitude of every gradient, before clipping. */
static tnn_status put_grads(loop *l, int64_t step) {
    const tnn_trainer *t = l->r->trainer;
    for (int64_t i = 0; i < tnn_trainer_n_params(t); i++) {
        const tnn_tensor *grad = tnn_trainer_grad(t, i);
        float piece[1024], largest = 0;
        double squares = 0;
        size_t n = (size_t)tnn_tensor_elements(grad), room = sizeof piece / sizeof *piece;
        for (size_t at = 0; at < n; at += room) {
            size_t k = n - at < room ? n - at : room;
            tnn_status status = tnn_tensor_read(grad, at * sizeof *piece, piece, k * sizeof *piece, l->err);
            if (status) return status;
            for (size_t e = 0; e < k; e++) {
                squares += (double)piece[e] * (double)piece[e];
                largest = fmaxf(largest, fabsf(piece[e]));
            }
        }
        const tnn__field fields[] = {TNN__TEXT_FIELD("name", tnn_tensor_name(tnn_trainer_value(t, i))),
                                     TNN__REAL_FIELD("norm", sqrt(squares)), TNN__REAL_FIELD("max", (double)largest)};
        tnn__events_put(l->events, "grad", step, fields, 3);
    }
    return TNN_OK;
}

static tnn_status one_step(loop *l, double *loss, double *grad_norm) {
    tnn_trainer *t = l->r->trainer;
    *loss = 0;
    fill_step(l);
    for (int64_t i = 0; i < l->n_batches; i++) {
        tnn_batch view = tnn_batch_buffer_view(&l->batches[i]);
        double part;
        tnn_status status = tnn_trainer_accumulate(t, &view, &part, l->err);
        if (status) return status;
        *loss += part;
    }
    int64_t step = tnn_trainer_step(t) + 1;
    if (l->r->config.grad_stats && is_reported(&l->r->config, step)) {
        tnn_status status = put_grads(l, step);
        if (status) return status;
    }
    return tnn_trainer_update(t, learning_rate(&l->r->config, tnn_trainer_step(t)), grad_norm, l->err);
}

/* Mean and root mean square of every tapped stage, over the tokens of the last batch. */
static void put_taps(const loop *l, int64_t step) {
    for (int64_t i = 0; i < tnn_trainer_n_taps(l->r->trainer); i++) {
        const char *name;
        int64_t n_features, n_rows;
        const float *x = tnn_trainer_tap(l->r->trainer, i, &name, &n_features, &n_rows);
        int64_t n_values = n_features * (n_rows < l->last_tokens ? n_rows : l->last_tokens);
        double sum = 0, squares = 0, n = (double)n_values;
        for (int64_t k = 0; k < n_values; k++) {
            sum += (double)x[k];
            squares += (double)x[k] * (double)x[k];
        }
        const tnn__field fields[] = {TNN__TEXT_FIELD("name", name), TNN__REAL_FIELD("mean", sum / n),
                                     TNN__REAL_FIELD("rms", sqrt(squares / n))};
        tnn__events_put(l->events, "tap", step, fields, 3);
    }
}

static void report(loop *l, double loss, double grad_norm) {
    const tnn_train_config *c = &l->r->config;
    int64_t step = tnn_trainer_step(l->r->trainer);
    double time = tnn__seconds(), per_step = (time - l->steps_start) / (double)(step - l->start_step);
    tnn_train_progress p = {
        .step = step,
        .n_steps = c->iters,
        .loss = loss,
        .lr = (double)learning_rate(c, step - 1),
        .grad_norm = grad_norm,
        .tokens_per_second = (double)(l->state.n_tokens - l->report_tokens) / (time - l->report_start),
        .seconds_left = per_step * (double)(c->iters - step),
        .n_tokens = l->state.n_tokens,
    };
    const tnn__field fields[] = {
        TNN__REAL_FIELD("loss", loss),
        TNN__REAL_FIELD("lr", p.lr),
        TNN__REAL_FIELD("grad_norm", grad_norm),
        TNN__INT_FIELD("tokens", p.n_tokens),
        TNN__INT_FIELD("wall_us", (int64_t)((time - l->start) * 1e6)),
        TNN__REAL_FIELD("tokens_per_second", p.tokens_per_second),
    };
    tnn__events_put(l->events, "step", step, fields, sizeof fields / sizeof *fields);
    put_taps(l, step);
    if (l->hooks->on_progress) l->hooks->on_progress(l->hooks->ctx, &p);
    l->report_start = time;
    l->report_tokens = l->state.n_tokens;
}

/* --- validation --- */

static tnn_status validation_loss(loop *l, double *loss) {
    tnn_batch_buffer *b = &l->batches[0];
    tnn_cursor cursor = {0, 0};
    double sum = 0;
    int64_t n_targets = 0;
    for (int64_t i = 0; cursor.epoch == 0 && (l->r->config.val_batches < 0 || i < l->r->config.val_batches); i++) {
        if (cursor.index >= tnn_dataset_get_stats(l->r->valid).n_sequences) break;
        double part;
        tnn_batch_fill(b, l->r->valid, &cursor, false);
        tnn_batch view = tnn_batch_buffer_view(b);
        tnn_status status = tnn_trainer_evaluate(l->r->trainer, &view, &part, NULL, l->err);
        if (status) return status;
        sum += part;
        n_targets += b->n_targets;
    }
    *loss = n_targets > 0 ? sum / (double)n_targets : 0;
    return TNN_OK;
}

static tnn_status validate(loop *l) {
    char path[PATH_SIZE];
    double loss;
    int64_t step = tnn_trainer_step(l->r->trainer);
    tnn_status status = validation_loss(l, &loss);
    if (status) return status;
    bool gain = loss < l->state.best_loss;
    if (gain) {
        l->state.best_loss = loss;
        l->state.best_step = step;
        l->state.evals_without_gain = 0;
        tnn_error why;
        if (step > 0 && tnn__run_export(l->r, path_in(l, "best.gguf", path), &why))
            say(l, "best.gguf was not written: %s", why.text);
    } else {
        l->state.evals_without_gain++;
    }
    const tnn__field fields[] = {TNN__REAL_FIELD("loss", loss), TNN__REAL_FIELD("best_loss", l->state.best_loss)};
    tnn__events_put(l->events, "eval", step, fields, 2);
    tnn_train_progress p = {.step = step,
                            .n_steps = l->r->config.iters,
                            .is_eval = true,
                            .val_loss = loss,
                            .best_val_loss = l->state.best_loss};
    if (l->hooks->on_progress) l->hooks->on_progress(l->hooks->ctx, &p);
    return TNN_OK;
}

static bool out_of_patience(const loop *l) {
    return l->r->config.patience > 0 && l->state.evals_without_gain >= l->r->config.patience;
}

/* --- samples --- */

/* A sample that cannot be taken is told, and the run goes on. */
static void sample(loop *l) {
    const tnn_train_config *c = &l->r->config;
    tnn_text text = {.allocator = &l->r->session->alloc};
    tnn_error why;
    if (!c->sample_prompt[0]) return;
    if (tnn__run_sample(l->r, &text, &why) || tnn_text_append(&text, "", 1, &why)) {
        say(l, "no sample: %s", why.text);
    } else {
        const tnn__field fields[] = {TNN__TEXT_FIELD("prompt", c->sample_prompt), TNN__TEXT_FIELD("text", text.data)};
        tnn__events_put(l->events, "sample", tnn_trainer_step(l->r->trainer), fields, 2);
    }
    tnn_text_free(&text);
}

/* --- the run --- */

static tnn_status look(loop *l) {
    double begin = tnn__seconds();
    tnn_status status = l->r->valid ? validate(l) : TNN_OK;
    if (!status) sample(l);
    l->report_start += tnn__seconds() - begin;
    return status;
}

static tnn_status train_steps(loop *l) {
    const tnn_train_config *c = &l->r->config;
    tnn_trainer *t = l->r->trainer;
    while (tnn_trainer_step(t) < c->iters && !out_of_patience(l)) {
        if (stop_asked(l)) {
            bool saved = save(l);
            return tnn__fail(l->err, TNN_E_CANCELLED, "stopped at step %" PRId64 " of %" PRId64 ", which is %ssaved",
                             tnn_trainer_step(t), c->iters, saved ? "" : "not ");
        }
        double loss, grad_norm;
        tnn_status status = one_step(l, &loss, &grad_norm);
        if (status) return status;
        int64_t step = tnn_trainer_step(t);
        bool last = step == c->iters;
        if (is_reported(c, step)) report(l, loss, grad_norm);
        bool looks = step % c->steps_per_eval == 0 || last;
        if (looks) status = look(l);
        if (status) return status;
        if (out_of_patience(l)) {
            if (!is_reported(c, step)) report(l, loss, grad_norm);
            if (!last)
                say(l, "ends at step %" PRId64 " of %" PRId64 ": no gain since step %" PRId64, step, c->iters,
                    l->state.best_step);
            last = true;
        }
        if (last || (c->save_every > 0 && step % c->save_every == 0)) save(l);
    }
    return TNN_OK;
}

/* Of a run that had ended already: what it came to, from its events. */
static void tell_end(const loop *l) {
    static const char *const names[] = {"loss", "lr", "grad_norm", "tokens_per_second"};
    char path[PATH_SIZE];
    double values[4];
    tnn_train_progress p = {.step = tnn_trainer_step(l->r->trainer),
                            .n_steps = l->r->config.iters,
                            .n_tokens = l->state.n_tokens,
                            .best_val_loss = l->state.best_loss};
    const tnn_allocator *a = &l->r->session->alloc;
    if (!l->hooks->on_progress) return;
    path_in(l, "events.jsonl", path);
    if (tnn__events_last(path, "eval", names, values, 1, a)) {
        p.is_eval = true;
        p.val_loss = values[0];
        l->hooks->on_progress(l->hooks->ctx, &p);
        p.is_eval = false;
    }
    if (!tnn__events_last(path, "step", names, values, 4, a)) return;
    p.loss = values[0];
    p.lr = values[1];
    p.grad_norm = values[2];
    p.tokens_per_second = values[3];
    l->hooks->on_progress(l->hooks->ctx, &p);
}

static tnn_status finish(loop *l) {
    char path[PATH_SIZE];
    const char *name = tnn__run_result(l->r);
    int64_t step = tnn_trainer_step(l->r->trainer);
    tnn_status status = tnn__run_export(l->r, path_in(l, name, path), l->err);
    if (status) return status;
    const tnn__field fields[] = {TNN__TEXT_FIELD("result", name), TNN__INT_FIELD("tokens", l->state.n_tokens)};
    tnn__events_put(l->events, "run_end", step, fields, 2);
    return TNN_OK;
}

/* One process a folder: the lock goes with the process, however it ends. */
static tnn_status lock_folder(loop *l) {
    char path[PATH_SIZE];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    l->lock = open(path_in(l, "config.json", path), O_RDWR | O_CLOEXEC);
    if (l->lock >= 0 && fcntl(l->lock, F_SETLK, &whole) != 0 && (errno == EAGAIN || errno == EACCES))
        return tnn__fail(l->err, TNN_E_STATE, "%s: another process trains in this folder; wait for it, or end it first",
                         l->out);
    return TNN_OK; /* a file system without locks cannot tell */
}

/* A folder may hold other things, the model to train among them; a new run writes over none of them. */
static tnn_status check_free(const loop *l) {
    char path[PATH_SIZE];
    for (int i = 0; i < N_RUN_FILES; i++) {
        if (access(path_in(l, run_files[i], path), F_OK) == 0)
            return tnn__fail(l->err, TNN_E_ARG,
                             "%s is there already, and the run would write over it: choose another folder", path);
    }
    return TNN_OK;
}

/* The folder of a new run holds none; that of a run which was opened does. */
static tnn_status enter_folder(loop *l) {
    char path[PATH_SIZE];
    bool is_new = access(path_in(l, "config.json", path), F_OK) != 0 && checkpoint_below(l, INT64_MAX) < 0;
    if (!is_new && !l->r->config_owner)
        return tnn__fail(l->err, TNN_E_STATE, "%s holds a run already; --resume it, or choose another folder", l->out);
    tnn_status status = is_new ? check_free(l) : TNN_OK;
    if (!status) status = make_folders(l);
    if (!status && is_new) status = write_config(l);
    if (!status) status = lock_folder(l);
    return status || is_new ? status : restore(l);
}

static tnn_status begin(loop *l) {
    char path[PATH_SIZE];
    const tnn_train_config *c = &l->r->config;
    tnn_status status = enter_folder(l);
    if (status) return status;
    int64_t step = tnn_trainer_step(l->r->trainer);
    status = tnn__events_open(&l->events, path_in(l, "events.jsonl", path), step > 0 ? step : -1, &l->r->session->alloc,
                              l->err);
    if (status) return status;
    tnn_dataset_stats data = tnn_dataset_get_stats(l->r->train);
    const tnn__field fields[] = {
        TNN__TEXT_FIELD("recipe", tnn__recipe_name((tnn_recipe)c->recipe)),
        TNN__TEXT_FIELD("model", c->model),
        TNN__INT_FIELD("iters", c->iters),
        TNN__INT_FIELD("from_step", step),
        TNN__INT_FIELD("sequences", data.n_sequences),
        TNN__INT_FIELD("data_tokens", data.n_tokens),
        TNN__INT_FIELD("trained_tokens", data.n_trained),
        TNN__INT_FIELD("cut", data.n_cut),
        TNN__INT_FIELD("skipped", data.n_skipped),
    };
    if (step == 0) tnn__events_put(l->events, "run_start", -1, fields, sizeof fields / sizeof *fields);
    if (data.n_cut > 0)
        say(l, "%" PRId64 " of %" PRId64 " rows were longer than %" PRId64 " tokens and lost their end", data.n_cut,
            data.n_rows, c->max_seq_length);
    if (data.n_skipped > 0)
        say(l, "%" PRId64 " of %" PRId64 " rows have nothing to learn from and are left out", data.n_skipped,
            data.n_rows);
    if (l->r->data_changed) say(l, "the data have changed since this run began: it goes on with what they are now");
    if (!tnn__run_names_template(l->r))
        say(l, "rows are written as %s, which the result does not name: chat with it by --chat-template %s",
            tnn_chat_template_name(l->r->chat), tnn_chat_template_name(l->r->chat));
    if (data.n_tools > 0)
        say(l,
            "%" PRId64 " of %" PRId64 " rows have tools or tool_calls, which are left out: no chat format writes them",
            data.n_tools, data.n_rows);
    return TNN_OK;
}

static tnn_status take_batches(loop *l) {
    const tnn_train_config *c = &l->r->config;
    const tnn_allocator *a = &l->r->session->alloc;
    l->batches = tnn__calloc_array(a, (size_t)c->grad_accumulation_steps, sizeof *l->batches);
    if (!l->batches) return tnn__fail_nomem(l->err, "batches", (size_t)c->grad_accumulation_steps * sizeof *l->batches);
    tnn_status status = TNN_OK;
    for (; l->n_batches < c->grad_accumulation_steps && !status; l->n_batches++) {
        status = tnn_batch_buffer_init(&l->batches[l->n_batches], l->r->batch_rows, a, l->err);
    }
    return status;
}

static void free_batches(loop *l) {
    const tnn_train_config *c = &l->r->config;
    for (int64_t i = 0; i < l->n_batches; i++) {
        tnn_batch_buffer_free(&l->batches[i]);
    }
    if (l->batches)
        tnn__free_array(&l->r->session->alloc, l->batches, (size_t)c->grad_accumulation_steps, sizeof *l->batches);
}

tnn_status tnn_run_train(tnn_run *r, const char *out, const tnn_train_hooks *hooks, tnn_error *err) {
    static const tnn_train_hooks none = {0};
    tnn_error unread, report_error;
    loop l = {.r = r, .out = out, .hooks = hooks ? hooks : &none, .lock = -1, .err = err ? err : &unread};
    if (r->used_up)
        return tnn__fail(l.err, TNN_E_STATE,
                         "this run has been measured or trained: make a new one, or open its folder");
    tnn_status status = take_batches(&l);
    if (!status) status = begin(&l);
    if (!status) {
        r->used_up = true;
        l.start = l.report_start = tnn__seconds();
        l.start_step = tnn_trainer_step(r->trainer);
        l.report_tokens = l.state.n_tokens;
        /* A checkpoint from before the first step has looked once already, which does not count twice. */
        if (l.start_step == 0) l.state = (tnn_checkpoint_state){.best_loss = INFINITY};
        if (l.start_step == 0) status = look(&l);
        if (l.start_step == r->config.iters || (l.start_step > 0 && out_of_patience(&l))) tell_end(&l);
        l.steps_start = tnn__seconds();
        if (!status) status = train_steps(&l);
        if (!status) status = finish(&l);
        if (tnn__events_failed(l.events)) say(&l, "events.jsonl could not be written in full");
        tnn__events_close(l.events);
        if (tnn__report_write(out, &r->session->alloc, &report_error))
            say(&l, "report.html was not written: %s", report_error.text);
    }
    if (l.lock >= 0) close(l.lock);
    free_batches(&l);
    return status;
}

tnn_status tnn_run_open(tnn_run **out, tnn_session *s, const char *folder, tnn_error *err) {
    char path[PATH_SIZE], *text;
    size_t size;
    tnn_train_config config;
    tnn__run_hashes hashes;
    void *owner;
    *out = NULL;
    if (strlen(folder) + 64 > PATH_SIZE) return tnn__fail(err, TNN_E_ARG, "the path of the run is too long");
    snprintf(path, sizeof path, "%s/config.json", folder);
    tnn_status status = tnn__file_read(path, 1 << 20, &s->alloc, &text, &size, err);
    if (status) return status;
    status = tnn__config_from_json(&config, &hashes, text, path, &owner, err);
    tnn__free(&s->alloc, text, size + 1, 1);
    if (!status) status = tnn_run_new(out, s, &config, err);
    if (status) {
        tnn__config_free_owner(owner);
        return status;
    }
    (*out)->config_owner = owner;
    (*out)->data_changed = hashes.data && hashes.data != (*out)->hashes.data;
    if (hashes.base != (*out)->hashes.base) {
        status =
            tnn__fail(err, TNN_E_STATE,
                      "%s has changed since this run began; put the old file back, or start a new run", config.model);
        tnn_run_free(*out);
        *out = NULL;
    }
    return status;
}
