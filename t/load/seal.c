
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Seals many secrets, for tests:
 *
 *   seal KEYRING < ROWS > TOKENS
 *
 * A row is "owner provider slot secret", and a token a line.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ak_keyring.h"
#include "ak_seal.h"


int
main(int argc, char **argv)
{
    char           row[1024], words[4][256];
    char          *word[4] = { words[0], words[1], words[2], words[3] };
    size_t         len;
    uint8_t        token[AK_SEALED_TEXT_MAX];
    ak_diag_t      d;
    ak_place_t     place;
    ak_keyring_t  *k;

    memset(&d, 0, sizeof(d));
    k = (argc == 2) ? ak_keyring_load(argv[1], &d) : NULL;

    if (k == NULL) {
        fprintf(stderr, "seal: %s\n", argc == 2 ? d.text : "usage");
        return 2;
    }

    while (fgets(row, sizeof(row), stdin) != NULL) {

        if (sscanf(row, "%255s %255s %255s %255s", word[0], word[1], word[2],
                   word[3])
            != 4)
        {
            fprintf(stderr, "seal: a row has four words\n");
            return 1;
        }

        place.owner = ak_cstr(word[0]);
        place.provider = ak_cstr(word[1]);
        place.slot = ak_cstr(word[2]);

        if (ak_seal(k, &place, ak_cstr(word[3]), token, &len, &d) != AK_OK) {
            fprintf(stderr, "seal: %s\n", d.text);
            return 1;
        }

        printf("%.*s\n", (int) len, (char *) token);
    }

    ak_keyring_free(k);

    return 0;
}
