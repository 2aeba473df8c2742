/* SPDX-License-Identifier: Apache-2.0 */
/* The layout was checked when it was parsed, so the algebra of a rank cannot fail; only shapes can be wrong here. */
#include <errno.h>

#include "layout/base/bytes.h"
#include "layout/checkpoint/sharding.h"
#include "layout/formats/devices.h"

/* Coordinates of a rank in the device matrix; an axis that cuts the tensor is taken out of `unused`. */
struct place {
	uint32_t at[DEVICES_AXES];
	bool unused[DEVICES_AXES];
};

static void place_of(const struct layout *layout, uint32_t local, struct place *place)
{
	for (uint32_t d = layout->matrix_axes; d-- > 0;) {
		place->at[d] = local % layout->matrix[d];
		place->unused[d] = true;
		local /= layout->matrix[d];
	}
}

/* The rank's position among the ranks that hold the same block before the optimizer's cut, in rank order. */
static uint32_t position(const struct layout *layout, const struct place *place)
{
	uint32_t p = 0;

	for (uint32_t d = 0; d < layout->matrix_axes; d++)
		if (place->unused[d])
			p = p * layout->matrix[d] + place->at[d];
	return p;
}

uint32_t sharding_block(const struct layout *layout, uint32_t local)
{
	uint32_t block = 0, first_tail = 1; /* first_tail: blocks in one step of axis 0 */
	const uint32_t *map = layout->map;
	struct place place;

	place_of(layout, local, &place);
	for (uint32_t a = 0; a < layout->axes; a++) {
		for (uint32_t i = 0; i < layout->map_len[a]; i++, map++) {
			block = block * layout->matrix[*map] + place.at[*map];
			place.unused[*map] = false;
		}
		if (a > 0)
			first_tail *= layout->grid.cuts[a];
	}
	/* `block` is right as if the optimizer did not cut; its piece becomes the least significant digit of axis 0. */
	return (block / first_tail * layout->opt_shards + position(layout, &place) % layout->opt_shards) * first_tail + block % first_tail;
}

static int check_axes(const struct layout *layout, uint32_t axes, struct error *err)
{
	if (axes == layout->axes)
		return 0;
	return error_set(err, -EINVAL, "%u axes, but its tensor map in the strategy has %u", axes, layout->axes);
}

int sharding_full(const struct layout *layout, const uint64_t *slice, uint32_t axes, uint64_t *full, struct error *err)
{
	int code = check_axes(layout, axes, err);

	for (uint32_t a = 0; code == 0 && a < axes; a++)
		if (!bytes_mul(slice[a], layout->grid.cuts[a], &full[a]))
			code = error_set(err, -EINVAL, "axis %u: %llu elements times the %u parts of the strategy overflow", a,
					 (unsigned long long)slice[a], layout->grid.cuts[a]);
	return code;
}

int sharding_slice(const struct layout *layout, const uint64_t *full, uint32_t axes, uint64_t *slice, struct error *err)
{
	int code = check_axes(layout, axes, err);

	for (uint32_t a = 0; code == 0 && a < axes; a++) {
		slice[a] = full[a] / layout->grid.cuts[a];
		if (slice[a] * layout->grid.cuts[a] != full[a])
			code = error_set(err, -EINVAL, "axis %u: %llu elements cannot be cut into the %u equal parts of the strategy", a,
					 (unsigned long long)full[a], layout->grid.cuts[a]);
	}
	return code;
}
