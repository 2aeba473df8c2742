/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All elements of an array are written in one form, which depends on all of them: with or without exponents, and how wide. So a
 * form is found first (numpy's FloatingFormat), then each element is written in it, and then rows and brackets are put around them
 * (numpy's _formatArray, here without its recursion).
 */
#include <stdio.h>
#include <string.h>

#include "layout/values/printed.h"
#include "layout/values/values.h"

#define LINE 75
#define PRECISION 8
#define WORD 96 /* bytes of an element, at most */
#define EXPONENTS_FROM 1e8
#define EXPONENTS_BELOW 0.0001
#define EXPONENTS_RATIO 1000.0
#define HALF_RATIO 1000.25 /* what a 16-bit float has to exceed to be more than 1000 */

/* How the floats of an array (or the real, or the imaginary parts) are written. */
struct form {
	uint32_t part;
	bool plus;               /* positive numbers have a sign */
	bool exponents;
	int32_t left, right;     /* characters before and behind the point */
	int32_t fraction;        /* digits behind it, with exponents */
	int32_t exponent_digits;
};

/* How the elements of an array are written. */
struct forms {
	struct form re, im; /* floats */
	int32_t width;      /* integers */
};

static const uint8_t *element(const struct corners *c, uint64_t i)
{
	return c->elements + i * c->width;
}

static double magnitude(const struct corners *c, uint64_t i, uint32_t part)
{
	struct value v = values_get(c->array.dtype, element(c, i), 0);

	return __builtin_fabs(part == 0 ? v.re : v.im);
}

/* Whether the ratio of two magnitudes is too large for one form, computed as the type itself would. */
static bool far_apart(enum dtype dtype, double max, double min)
{
	if (dtype == DTYPE_F64)
		return max / min > EXPONENTS_RATIO;
	return (float)max / (float)min > (dtype == DTYPE_F16 ? (float)HALF_RATIO : (float)EXPONENTS_RATIO);
}

static bool needs_exponents(const struct corners *c, uint32_t part)
{
	double max = 0, min = 0;

	for (uint64_t i = 0; i < c->count; i++) {
		double v = magnitude(c, i, part);

		if (!__builtin_isfinite(v) || v == 0)
			continue;
		max = v > max ? v : max;
		min = min == 0 || v < min ? v : min;
	}
	return max > 0 && (max >= EXPONENTS_FROM || min < EXPONENTS_BELOW || far_apart(c->array.dtype, max, min));
}

static int32_t most(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

/* Widens a form so that this number fits into it. */
static void fit(struct form *form, const struct digits_float *f)
{
	struct digits_limit limit = { .from_first = form->exponents, .least = DIGITS_ANY, .most = PRECISION };
	int32_t sign = f->negative || form->plus, behind;
	struct digits d;

	digits_make(f, &limit, &d);
	if (form->exponents) {
		form->left = most(form->left, sign + 1);
		form->fraction = most(form->fraction, (int32_t)d.count - 1);
		form->exponent_digits = most(form->exponent_digits, d.exponent <= -100 || d.exponent >= 100 ? 3 : 2);
		return;
	}
	behind = (int32_t)d.count - 1 - d.exponent;
	form->left = most(form->left, sign + (d.exponent > 0 ? d.exponent + 1 : 1));
	form->right = most(form->right, behind);
}

static void form_make(const struct corners *c, struct form *form)
{
	bool nan, has_nan = false, has_inf = false, has_minus_inf = form->plus;

	form->exponents = needs_exponents(c, form->part);
	for (uint64_t i = 0; i < c->count; i++) {
		struct digits_float f;

		if (values_float(c->array.dtype, element(c, i), 0, form->part, &f, &nan)) {
			fit(form, &f);
			continue;
		}
		has_nan |= nan;
		has_inf |= !nan;
		has_minus_inf |= !nan && f.negative;
	}
	if (form->exponents)
		form->right = form->exponent_digits + 2 + form->fraction;
	/* numpy makes room for "inf" and "nan" when there is either of them */
	if (has_nan || has_inf)
		form->left = most(form->left, (has_minus_inf ? 4 : 3) - (form->right + 1));
}

/* The `i`th digit, zero where there is none. */
static char digit(const struct digits *d, int32_t i)
{
	return (char)('0' + (i >= 0 && i < (int32_t)d->count ? d->digit[i] : 0));
}

/* A finite number without its sign. Returns the end. */
static char *put_digits(const struct form *form, const struct digits_float *f, char *out)
{
	struct digits_limit plain = { .from_first = false, .least = 0, .most = PRECISION };
	struct digits_limit scientific = { .from_first = true, .least = form->fraction, .most = form->fraction };
	struct digits d;
	int32_t whole, behind;

	digits_make(f, form->exponents ? &scientific : &plain, &d);
	whole = form->exponents ? 0 : d.exponent > 0 ? d.exponent : 0; /* place of the last digit before the point */
	behind = form->exponents ? form->fraction : most((int32_t)d.count - 1 - d.exponent, 0);
	for (int32_t at = -whole; at <= behind; at++) {
		*out++ = digit(&d, form->exponents ? at : at + d.exponent);
		if (at == 0)
			*out++ = '.';
	}
	if (form->exponents)
		return out + snprintf(out, WORD / 4, "e%c%0*d", d.exponent < 0 ? '-' : '+', form->exponent_digits,
				      d.exponent < 0 ? -d.exponent : d.exponent);
	memset(out, ' ', (size_t)(form->right - behind));
	return out + (form->right - behind);
}

/* One float in its form. Returns the end. */
static char *put_float(const struct corners *c, uint64_t i, const struct form *form, char *out)
{
	char word[WORD], *end = word;
	struct digits_float f;
	bool nan, finite = values_float(c->array.dtype, element(c, i), 0, form->part, &f, &nan);
	bool minus = f.negative && !nan;
	int32_t blanks;

	if (minus || form->plus)
		*end++ = minus ? '-' : '+';
	if (!finite) {
		memcpy(end, nan ? "nan" : "inf", 3);
		end += 3;
		blanks = form->left + form->right + 1 - (int32_t)(end - word);
	} else {
		end = put_digits(form, &f, end);
		blanks = form->left - (int32_t)((const char *)memchr(word, '.', (size_t)(end - word)) - word);
	}
	memset(out, ' ', (size_t)most(blanks, 0));
	out += most(blanks, 0);
	memcpy(out, word, (size_t)(end - word));
	return out + (end - word);
}

/* The j stands behind the number, before the blanks that follow it. */
static char *put_j(char *begin, char *end)
{
	char *p = end;

	while (p > begin && p[-1] == ' ')
		p--;
	memmove(p + 1, p, (size_t)(end - p));
	*p = 'j';
	return end + 1;
}

/* One element in the array's form, into `out` [WORD]. */
static void put_element(const struct corners *c, uint64_t i, const struct forms *forms, char *out)
{
	enum values_kind kind = values_kind(c->array.dtype);
	char plain[VALUES_TEXT], *middle;

	if (kind == VALUES_FLOAT || kind == VALUES_COMPLEX) {
		middle = put_float(c, i, &forms->re, out);
		*middle = '\0';
		if (kind == VALUES_COMPLEX)
			*put_j(middle, put_float(c, i, &forms->im, middle)) = '\0';
		return;
	}
	values_text(c->array.dtype, element(c, i), 0, plain);
	snprintf(out, WORD, "%*s", (int)forms->width, plain);
}

static void forms_make(const struct corners *c, struct forms *forms)
{
	enum values_kind kind = values_kind(c->array.dtype);
	char plain[VALUES_TEXT];

	*forms = (struct forms){ .im = { .part = 1, .plus = true } };
	if (kind == VALUES_FLOAT || kind == VALUES_COMPLEX)
		form_make(c, &forms->re);
	if (kind == VALUES_COMPLEX)
		form_make(c, &forms->im);
	if (kind == VALUES_BOOL)
		forms->width = c->array.axes ? (int32_t)sizeof("False") - 1 : 0;
	else if (kind == VALUES_SIGNED || kind == VALUES_UNSIGNED)
		for (uint64_t i = 0; i < c->count; i++)
			forms->width = most(forms->width, (int32_t)strlen(values_text(c->array.dtype, element(c, i), 0, plain)));
}

/* A row being written: `column` counts what is in its last line, indentation included. */
struct row {
	struct text *text;
	uint32_t indent, column, width;
	bool begun; /* the line has a word */
};

/* Puts a word into the row, on a new line if it does not fit; numpy drops the blank before a line's end. */
static void row_add(struct row *row, const char *word)
{
	uint32_t len = (uint32_t)strlen(word), blank = row->begun ? 1 : 0;

	if (row->begun && row->column + blank + len > row->width) {
		while (row->text->len > 0 && row->text->ptr[row->text->len - 1] == ' ')
			row->text->len--;
		text_add_bytes(row->text, "\n", 1);
		text_pad(row->text, ' ', row->indent);
		row->column = row->indent;
		blank = 0;
	}
	text_pad(row->text, ' ', blank);
	text_add_bytes(row->text, word, len);
	row->column += blank + len;
	row->begun = true;
}

/* Whether "..." stands before place `place` of an axis. */
static bool is_left_out(const struct corners *c, uint32_t axis, uint64_t place)
{
	return c->edge && c->array.shape[axis] > c->shape[axis] && place == c->edge;
}

/* The row that begins with element `first`; its opening bracket is written already. */
static void put_row(const struct corners *c, uint64_t first, const struct forms *forms, struct text *text)
{
	uint32_t axis = c->array.axes - 1;
	struct row row = { .text = text, .indent = axis + 1, .column = axis + 1, .width = LINE - 1 - axis };
	char word[WORD];

	for (uint64_t i = 0; i < c->shape[axis]; i++) {
		if (is_left_out(c, axis, i))
			row_add(&row, "...");
		put_element(c, first + i, forms, word);
		row_add(&row, word);
	}
}

/* Line ends and indentation before the next item of `axis`. */
static void put_break(const struct corners *c, uint32_t axis, struct text *text)
{
	text_pad(text, '\n', c->array.axes - 1 - axis);
	text_pad(text, ' ', axis + 1);
}

/* What stands between the row before and the one at `place`, of which the axes from `changed` on begin anew. */
static void put_between(const struct corners *c, const uint64_t *place, uint32_t changed, struct text *text)
{
	uint32_t closed = c->array.axes - 1 - changed;

	text_pad(text, ']', closed);
	put_break(c, changed, text);
	if (is_left_out(c, changed, place[changed])) {
		text_add(text, "...");
		put_break(c, changed, text);
	}
	text_pad(text, '[', closed);
}

static void put_rows(const struct corners *c, const struct forms *forms, struct text *text)
{
	uint32_t axes = c->array.axes, changed = 0;
	uint64_t place[BOX_AXES] = { 0 }, row = c->shape[axes - 1];

	text_pad(text, '[', axes);
	for (uint64_t i = 0; i < c->count; i += row) {
		if (i > 0)
			put_between(c, place, changed, text);
		put_row(c, i, forms, text);
		for (changed = axes - 1; changed-- > 0 && ++place[changed] == c->shape[changed];)
			place[changed] = 0;
	}
	text_pad(text, ']', axes);
}

void printed_array(const struct corners *c, struct text *text)
{
	struct forms forms;
	char word[WORD];

	if (c->count == 0) {
		text_add(text, "%s", c->whole ? "[...]" : "[]");
		return;
	}
	forms_make(c, &forms);
	if (c->array.axes == 0) {
		put_element(c, 0, &forms, word);
		text_add(text, "%s", word);
		return;
	}
	put_rows(c, &forms, text);
}
