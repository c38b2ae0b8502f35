/*
    subject_best_fit.c - what a fixed span can hold at best without looking ahead: each allocation
    goes to the smallest free range that has room, the lowest of equals. A model to count failures
    against; its times mean nothing.

    The ranges are a list by offset; the free ones stand in a treap by size and offset, too.
*/
#include "subject.h"

#include <stdlib.h>

typedef struct Range Range;

struct Range {
    uint64_t offset, size;
    Range *before, *behind; /* by offset */
    bool isFree;
    uint64_t priority; /* the treap is a heap of these */
    Range *smaller, *larger;
};

typedef struct Model {
    Subject base;
    Random random;
    Range* first;
    Range* root;
} Model;

static bool comes_first(const Range* a, const Range* b) {
    return a->size != b->size ? a->size < b->size : a->offset < b->offset;
}

static Range* join(Range* smaller, Range* larger) {
    if (smaller == NULL || larger == NULL) {
        return smaller != NULL ? smaller : larger;
    }
    if (smaller->priority > larger->priority) {
        smaller->larger = join(smaller->larger, larger);
        return smaller;
    }
    larger->smaller = join(smaller, larger->smaller);
    return larger;
}

static void split(Range* root, const Range* at, Range** smaller, Range** larger) {
    if (root == NULL) {
        *smaller = *larger = NULL;
    } else if (comes_first(root, at)) {
        *smaller = root;
        split(root->larger, at, &root->larger, larger);
    } else {
        *larger = root;
        split(root->smaller, at, smaller, &root->smaller);
    }
}

static void add_free(Model* model, Range* range) {
    Range *smaller, *larger;
    range->isFree = true;
    range->priority = random_next(&model->random);
    range->smaller = range->larger = NULL;
    split(model->root, range, &smaller, &larger);
    model->root = join(join(smaller, range), larger);
}

static void drop_free(Model* model, Range* range) {
    Range** link = &model->root;
    while (*link != range) {
        link = comes_first(*link, range) ? &(*link)->larger : &(*link)->smaller;
    }
    *link = join(range->smaller, range->larger);
    range->isFree = false;
}

/*  The range ends at `size`; what was behind that becomes one of its own. */
static void cut(Model* model, Range* range, uint64_t size) {
    Range* rest = allocate_or_die(1, sizeof *rest);
    rest->offset = range->offset + size;
    rest->size = range->size - size;
    rest->before = range;
    rest->behind = range->behind;
    if (rest->behind != NULL) {
        rest->behind->before = rest;
    }
    range->behind = rest;
    range->size = size;
    add_free(model, rest);
}

/*  Take the range behind it in. */
static void swallow(Range* range) {
    Range* behind = range->behind;
    range->size += behind->size;
    range->behind = behind->behind;
    if (range->behind != NULL) {
        range->behind->before = range;
    }
    free(behind);
}

static Subject* best_fit_open(const Setup* setup) {
    Model* model = allocate_or_die(1, sizeof *model);
    model->base.kind = &subject_best_fit;
    model->random.state = RANDOM_SEED;
    model->first = allocate_or_die(1, sizeof *model->first);
    model->first->size = setup->spanBytes;
    add_free(model, model->first);
    return &model->base;
}

static void best_fit_close(Subject* subject) {
    Model* model = (Model*)subject;
    if (!model->first->isFree || model->first->behind != NULL) {
        die("the model is not empty");
    }
    free(model->first);
    free(model);
}

/*  All sizes are multiples of the alignment, and so are all offsets then. */
static void* best_fit_allocate(Subject* subject, uint64_t size, uint64_t alignment, uint32_t type) {
    Model* model = (Model*)subject;
    Range* best = NULL;
    (void)type;
    for (Range* range = model->root; range != NULL;) {
        if (range->size >= size) {
            best = range;
            range = range->smaller;
        } else {
            range = range->larger;
        }
    }
    if (best != NULL) {
        drop_free(model, best);
        if (best->size != size) {
            cut(model, best, size);
        }
        if (best->offset % alignment != 0) {
            die("the model knows no alignment");
        }
    }
    return best;
}

static void best_fit_release(Subject* subject, void* allocation) {
    Model* model = (Model*)subject;
    Range* range = allocation;
    if (range->behind != NULL && range->behind->isFree) {
        drop_free(model, range->behind);
        swallow(range);
    }
    if (range->before != NULL && range->before->isFree) {
        range = range->before;
        drop_free(model, range);
        swallow(range);
    }
    add_free(model, range);
}

const SubjectKind subject_best_fit = {
    .key = "best_fit",
    .name = "best fit (model)",
    .traits = MODEL,
    .open = best_fit_open,
    .close = best_fit_close,
    .allocate = best_fit_allocate,
    .release = best_fit_release,
};
