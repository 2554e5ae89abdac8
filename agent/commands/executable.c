/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/executable.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPTS_MAX 4 /* as the kernel: a script's interpreter may be a script */

static bool is_program(const char *path)
{
	struct stat status;

	if (stat(path, &status))
		return false;
	errno = EACCES;
	return S_ISREG(status.st_mode) && !access(path, X_OK);
}

bool executable_find(const char *name, char path[PATH_MAX])
{
	const char *places = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
	int error = ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
			errno = ENAMETOOLONG;
			return false;
		}
		return is_program(path);
	}
	while (*places) {
		int length = strcspn(places, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", length ?: 1, length ? places : ".", name) < PATH_MAX) {
			if (is_program(path))
				return true;
			if (errno == EACCES)
				error = EACCES;
		}
		places += length + (places[length] == ':');
	}
	errno = error;
	return false;
}

static bool has_go_notes(Elf *elf)
{
	size_t names;
	Elf_Scn *section = NULL;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;

		if (name && (!strcmp(name, ".go.buildinfo") || !strcmp(name, ".note.go.buildid")))
			return true;
	}
	return false;
}

static enum executable_kind kind_of_elf(Elf *elf)
{
	GElf_Ehdr header, own = { 0 };
	size_t count;
	bool interpreter = false;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf *self = elf_begin(fd, ELF_C_READ, NULL);

	if (self)
		gelf_getehdr(self, &own);
	elf_end(self);
	close(fd);
	if (!gelf_getehdr(elf, &header))
		return EXECUTABLE_UNREADABLE;
	if (header.e_machine != own.e_machine || header.e_ident[EI_CLASS] != own.e_ident[EI_CLASS])
		return EXECUTABLE_FOREIGN;
	if (has_go_notes(elf))
		return EXECUTABLE_GO;
	if (elf_getphdrnum(elf, &count))
		return EXECUTABLE_UNREADABLE;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;

		interpreter |= gelf_getphdr(elf, i, &segment) && segment.p_type == PT_INTERP;
	}
	return interpreter ? EXECUTABLE_DYNAMIC : EXECUTABLE_STATIC;
}

/* "#!/usr/bin/env python3": what env finds is what runs. */
static bool interpreter_of(int fd, char path[PATH_MAX])
{
	char line[PATH_MAX], *word, *argument, *rest = NULL;
	ssize_t length = pread(fd, line, sizeof(line) - 1, 0);

	if (length < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[length] = 0;
	line[strcspn(line, "\n")] = 0;
	word = strtok_r(line + 2, " \t", &rest);
	argument = strtok_r(NULL, " \t", &rest);
	if (!word)
		return false;
	if (argument && strlen(word) > 4 && !strcmp(word + strlen(word) - 4, "/env"))
		return executable_find(argument, path);
	return executable_find(word, path);
}

static enum executable_kind kind_at(const char *path, int scripts)
{
	enum executable_kind kind = EXECUTABLE_UNREADABLE;
	char interpreter[PATH_MAX];
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf;

	if (fd < 0)
		return EXECUTABLE_UNREADABLE;
	if (!fstat(fd, &status) && status.st_mode & (S_ISUID | S_ISGID)) {
		close(fd);
		return EXECUTABLE_SETUID;
	}
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF)
		kind = kind_of_elf(elf);
	else if (scripts && interpreter_of(fd, interpreter))
		kind = kind_at(interpreter, scripts - 1);
	elf_end(elf);
	close(fd);
	return kind;
}

enum executable_kind executable_kind(const char *path)
{
	elf_version(EV_CURRENT);
	return kind_at(path, SCRIPTS_MAX);
}

const char *executable_reason(enum executable_kind kind)
{
	static const char *const reasons[] = {
		[EXECUTABLE_DYNAMIC] = "",
		[EXECUTABLE_STATIC] =
			"statically linked, so no library can be put in front of its calls: link it dynamically",
		[EXECUTABLE_GO] =
			"a Go program, which makes its system calls itself: steer = af_xdp and an own stack serve it",
		[EXECUTABLE_SETUID] = "set-user-id, so the linker ignores LD_PRELOAD: run it as the user itself",
		[EXECUTABLE_FOREIGN] = "of another architecture than autocork: build autocork for it",
		[EXECUTABLE_UNREADABLE] = "no readable ELF program or script: check the file",
	};

	return reasons[kind];
}
