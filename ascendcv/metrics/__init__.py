"""PSNR and SSIM as the papers of the field compute them."""
