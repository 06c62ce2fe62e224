/* Verifies SAML responses with libxml2 and libxmlsec1 alone: parse, find the signature, canonicalize, digest, RSA. No rule
 * of SAML is looked at, and nothing is read from what was verified.
 *
 *     xmlsec_verify --load-key|--keep-key FOLDER SECONDS
 *
 * --load-key reads the key from the PEM certificate for each response, as a gateway does whose connections each have
 * their own; --keep-key reads it once. Prints how many were verified in how much CPU time, as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <xmlsec/crypto.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/xmlsec.h>
#include <xmlsec/xmltree.h>

#define MOST 10000

static void die(const char *what) {
    fprintf(stderr, "xmlsec_verify: %s\n", what);
    exit(1);
}

static char *read_file(const char *path, int *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    fseek(file, 0, SEEK_END);
    *length = (int)ftell(file);
    rewind(file);
    char *bytes = malloc(*length + 1);
    if (bytes == NULL || fread(bytes, 1, *length, file) != (size_t)*length) die("a file could not be read");
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

static xmlSecKeyPtr load_key(const char *pem, int length) {
    xmlSecKeyPtr key =
        xmlSecCryptoAppKeyLoadMemory((const xmlSecByte *)pem, length, xmlSecKeyDataFormatCertPem, NULL, NULL, NULL);
    if (key == NULL) die("the certificate holds no key");
    return key;
}

static void verify(const char *xml, int length, xmlSecKeyPtr key) {
    const xmlChar *ids[] = {BAD_CAST "ID", NULL};
    xmlDocPtr document = xmlReadMemory(xml, length, NULL, NULL, XML_PARSE_NONET);
    if (document == NULL) die("a response is no XML");
    xmlNodePtr root = xmlDocGetRootElement(document);
    xmlSecAddIDs(document, root, ids);
    xmlNodePtr signature = xmlSecFindNode(root, xmlSecNodeSignature, xmlSecDSigNs);
    if (signature == NULL) die("a response is not signed");
    xmlSecDSigCtxPtr context = xmlSecDSigCtxCreate(NULL);
    if (context == NULL) die("no context");
    context->signKey = key;
    if (xmlSecDSigCtxVerify(context, signature) < 0 || context->status != xmlSecDSigStatusSucceeded)
        die("a signature is wrong");
    xmlSecDSigCtxDestroy(context);
    xmlFreeDoc(document);
}

static double cpu(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
    static char *responses[MOST];
    static int lengths[MOST];
    char path[4096];
    if (count != 4) die("xmlsec_verify --load-key|--keep-key FOLDER SECONDS");
    int keep = strcmp(arguments[1], "--keep-key") == 0;

    xmlInitParser();
    if (xmlSecInit() < 0 || xmlSecCryptoAppInit(NULL) < 0 || xmlSecCryptoInit() < 0) die("xmlsec does not start");
    int pem_length, found = 0;
    snprintf(path, sizeof path, "%s/idp.pem", arguments[2]);
    char *pem = read_file(path, &pem_length);
    if (pem == NULL) die("there is no idp.pem");
    for (; found < MOST; found++) {
        snprintf(path, sizeof path, "%s/%d.xml", arguments[2], found);
        if ((responses[found] = read_file(path, &lengths[found])) == NULL) break;
    }
    if (found == 0) die("there are no responses");

    xmlSecKeyPtr kept = load_key(pem, pem_length);
    double start = cpu(), most = atof(arguments[3]), spent;
    long verified = 0;
    do {
        for (int i = 0; i < found; i++, verified++) {
            verify(responses[i], lengths[i], keep ? xmlSecKeyDuplicate(kept) : load_key(pem, pem_length));
        }
        spent = cpu() - start;
    } while (spent < most);
    printf("{\"verified\": %ld, \"cpu_s\": %.6f}\n", verified, spent);
    return 0;
}
