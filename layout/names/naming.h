/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a recipe's namings the tensors of a checkpoint have, and which line of it each tensor matches.
 */
#ifndef LAYOUT_NAMING_H
#define LAYOUT_NAMING_H

#include "layout/names/figures.h"

/* A way to read names: by the lines that hold for a naming under some flags; either side of them. */
struct naming_form {
	enum recipe_naming naming; /* never RECIPE_HF */
	uint32_t flags;
	bool hf;                   /* Hugging Face's side of the lines */
};

struct naming_found {
	const struct recipe_line *line; /* NULL for a name that is no parameter's */
	const struct recipe_drop *drop; /* that the name matches, where line is NULL */
	const struct recipe_copy *copy; /* likewise; both NULL: an `extra` */
	const char *prefix;             /* of optimizer state; "" for a parameter */
	uint32_t part;                  /* of the line */
	uint64_t values[FACTORS_WORDS]; /* of the indexes */
};

/* The line and part of a name that was recognised; no line for what is no parameter of the model. */
struct naming_match {
	const struct recipe_line *line;
	uint32_t part;
	bool alone; /* no other line has such names */
};

/* The patterns that a line has in a form: how many, and one of them. */
uint32_t naming_parts(const struct naming_form *form, const struct recipe_line *line);
const struct pattern *naming_pattern(const struct naming_form *form, const struct recipe_line *line, uint32_t part);

/* True for a line that counts: under its conditions, and with a value for each index that only Hugging Face's side has. */
bool naming_holds(const struct figures *figures, const struct naming_form *form, const struct recipe_line *line);

/* True when `name`, of `len` bytes, matches and its numbers are in the ranges of their indexes. */
bool naming_matches(const struct figures *figures, const struct pattern *pattern, const char *name, uint64_t len, uint64_t *values);

/* Looks a name up. False when no line has it. */
bool naming_find(const struct figures *figures, const struct naming_form *form, const char *name, struct naming_found *out);

/* The same for a name that was recognised in this form, without a search. */
void naming_find_again(const struct figures *figures, const struct naming_form *form, const char *name, const struct naming_match *match,
		       struct naming_found *out);

/*
 * Recognises the names of tensors [count] that are to become `to` (RECIPE_HF: whatever else they are). Options of the recipe may be
 * other than the figures say; those that are tried first are the figures'. `matches` [count] takes what each is in the form *out.
 * -EINVAL with a tensor that matches no line.
 */
int naming_recognise(const struct figures *figures, const struct tensor *tensors, uint64_t count, enum recipe_naming to,
		     struct naming_match *matches, struct naming_form *out, struct error *err);

/* -EINVAL with the first tensor that the recipe asks for and is not there. `matches` as they were recognised. */
int naming_complete(const struct figures *figures, const struct naming_form *form, const struct tensor *tensors, uint64_t count,
		    const struct naming_match *matches, struct error *err);

/* The next combination of the values of a pattern's indexes, figures->first being the first; false after the last. */
bool naming_advance(const struct figures *figures, const struct pattern *pattern, uint64_t *values);

/* "hf names", "legacy names" ... */
const char *naming_text(const struct naming_form *form);

#endif
