/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations on folders. A folder of a model is listed from its tree, and the kernel may keep the listing. The root of many is
 * listed as it is when the listing begins: whoever reads on gets each entry once, whatever comes and goes meanwhile.
 */
#ifndef FS_FOLDER_H
#define FS_FOLDER_H

#include "fs/serve/ops.h"

void folder_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void folder_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void folder_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void folder_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
