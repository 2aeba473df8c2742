/* SPDX-License-Identifier: Apache-2.0 */
/* Names are read from their ends, as MindSpore's patterns do; numbers that pass 64 bits stay at the largest. */
#include <string.h>

#include "layout/base/bytes.h"
#include "layout/formats/step.h"

static const char *const endings[] = { ".safetensors", ".ckpt" };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The number that the digits [from, to) write. */
static uint64_t number(const char *from, const char *to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		if (!bytes_mul(n, 10, &n) || !bytes_add(n, (uint64_t)(*from - '0'), &n))
			return UINT64_MAX;
	return n;
}

/* The start of the digits that end at `end`; `end` itself when there are none. */
static const char *digits_before(const char *begin, const char *end)
{
	while (end > begin && is_digit(end[-1]))
		end--;
	return end;
}

static bool ends_in(const char *begin, const char *end, const char *suffix)
{
	size_t len = strlen(suffix);

	return (size_t)(end - begin) >= len && memcmp(end - len, suffix, len) == 0;
}

/* The end of `name` without the ending of a weights file. */
static const char *stem_end(const char *name)
{
	const char *end = name + strlen(name);

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		if (ends_in(name, end, endings[i]))
			return end - strlen(endings[i]);
	return end;
}

bool step_rank_of_dir(const char *name, uint64_t *rank)
{
	const char *tail = name, *end = name + strlen(name);

	if (strncmp(name, "rank_", 5) != 0 || !is_digit(name[5]))
		return false;
	for (const char *next; (next = strstr(tail, "rank_"));)
		tail = next + 5;
	if (tail == end || digits_before(tail, end) != tail)
		return false;
	*rank = number(tail, end);
	return true;
}

bool step_is_weights(const char *name)
{
	return name[0] != '.' && *stem_end(name);
}

bool step_is_ckpt(const char *name)
{
	return name[0] != '.' && strcmp(stem_end(name), ".ckpt") == 0;
}

/* T of "..._rank_N_T" in [begin, end), where T ends at `end`; 0 for any other form, "..._rank_N" too. */
static uint64_t task_before(const char *begin, const char *end)
{
	const char *task = digits_before(begin, end);

	if (task == end || task == begin || task[-1] != '_')
		return 0;

	const char *rank = digits_before(begin, task - 1);

	if (rank == task - 1 || !ends_in(begin, rank, "_rank_") || rank - begin == 6)
		return 0;
	return number(task, end);
}

/* True when the E_S that begins at `epoch` is really N_TASK of "rank_N_TASK": a rank's number is no epoch. */
static bool is_rank_and_task(const char *begin, const char *epoch)
{
	return ends_in(begin, epoch, "rank_");
}

struct step step_parse(const char *name)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name, *end = stem_end(base);
	const char *step = digits_before(base, end), *epoch_end = step > base ? step - 1 : base;
	const char *epoch = digits_before(base, epoch_end);
	struct step out = { 0 };

	if (step == end || epoch == epoch_end || *epoch_end != '_' || is_rank_and_task(base, epoch))
		return out;
	out.counted = true;
	out.epoch = number(epoch, epoch_end);
	out.step = number(step, end);
	if (epoch > base && epoch[-1] == '-')
		out.task = task_before(base, epoch - 1);
	return out;
}

/* The last "_rank_" with a digit behind it, NULL without one. */
static const char *last_rank(const char *name)
{
	const char *found = NULL;

	for (const char *p = name; (p = strstr(p, "_rank_")); p++)
		if (is_digit(p[6]))
			found = p;
	return found;
}

size_t step_prefix(const char *name)
{
	const char *end = last_rank(name), *stop = stem_end(name);

	if (end || !step_parse(name).counted)
		return (size_t)((end ? end : stop) - name);
	end = digits_before(name, digits_before(name, stop) - 1);
	return (size_t)(end - name) - (end > name && (end[-1] == '-' || end[-1] == '_'));
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int step_compare(const struct step *a, const struct step *b)
{
	int r = compare(a->counted, b->counted);

	r = r ? r : compare(a->epoch, b->epoch);
	r = r ? r : compare(a->step, b->step);
	return r ? r : compare(a->task, b->task);
}

/* What several matches of a suffix are narrowed by: its form, with the separator that may be left out. */
struct form {
	const char *separator; /* to put before the suffix: "" when it has its own; NULL when the suffix is of no known form */
	bool task;             /* "_t-e_s": a rank in the place of t does not count */
};

/* Skips "_" or "-" and digits behind it; NULL when they are not there. */
static const char *skip_part(const char *s, char separator)
{
	if (*s != separator || !is_digit(s[1]))
		return NULL;
	for (s++; is_digit(*s); s++)
		;
	return s;
}

/* The forms are the chains _s, -e_s and _t-e_s of parts, the first one's separator optional. */
static struct form form_of(const char *suffix)
{
	static const struct {
		char separators[4];
		bool task;
	} forms[] = { { "_-_", true }, { "-_", false }, { "_", false } };

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *s = suffix, *separator = forms[i].separators;

		if (is_digit(*s))
			for (separator++; is_digit(*s); s++)
				;
		for (; s && *separator; separator++)
			s = skip_part(s, *separator);
		if (s && !*s)
			return (struct form){ is_digit(*suffix) ? (forms[i].separators[0] == '-' ? "-" : "_") : "", forms[i].task };
	}
	return (struct form){ 0 };
}

static bool matches(const char *name, const char *suffix, const struct form *form)
{
	const char *end = stem_end(name);

	if (!ends_in(name, end, suffix))
		return false;
	end -= strlen(suffix);
	if (!ends_in(name, end, form->separator))
		return false;
	if (!form->task)
		return true;
	return !ends_in(name, end, *form->separator ? "rank_" : "rank");
}

/* Of the names that match by form, the shortest; -2 when there is none or not one alone. */
static int64_t choose_shortest(const char *const *names, uint64_t count, const char *suffix, const struct form *form)
{
	int64_t best = -2;
	size_t shortest = SIZE_MAX;

	for (uint64_t i = 0; i < count; i++) {
		size_t len = strlen(names[i]);

		if (len > shortest || !matches(names[i], suffix, form))
			continue;
		best = len < shortest ? (int64_t)i : -2;
		shortest = len;
	}
	return best;
}

int64_t step_choose(const char *const *names, uint64_t count, const char *suffix)
{
	uint64_t found = 0;
	int64_t last = -1;

	for (uint64_t i = 0; i < count; i++)
		if (ends_in(names[i], stem_end(names[i]), suffix)) {
			last = (int64_t)i;
			found++;
		}
	if (found <= 1)
		return last;

	struct form form = form_of(suffix);

	return form.separator ? choose_shortest(names, count, suffix, &form) : -2;
}
