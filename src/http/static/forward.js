// Sends the page's form on by itself.
document.getElementById("forward").submit();
