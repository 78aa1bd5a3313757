/*
 * svg_setup.h
 *	  What a test drew, as one text.
 */
#ifndef SVG_SETUP_H
#define SVG_SETUP_H

#include "check.h"

static char *svg;
static size_t svg_size;
static size_t svg_capacity;

CHECK_UNUSED static void
collect(void *arg, const char *text, size_t n)
{
	(void) arg;
	if (svg_size + n + 1 > svg_capacity)
	{
		svg_capacity = 2 * (svg_size + n + 1);
		svg = realloc(svg, svg_capacity);
	}
	memcpy(svg + svg_size, text, n);
	svg_size += n;
	svg[svg_size] = '\0';
}

/* How often a piece of text occurs in the picture. */
CHECK_UNUSED static int
count(const char *text)
{
	int n = 0;

	for (const char *p = svg; p != NULL && (p = strstr(p, text)) != NULL; p += strlen(text))
		n++;
	return n;
}

#endif /* SVG_SETUP_H */
