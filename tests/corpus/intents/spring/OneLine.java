package com.example;

import org.springframework.context.annotation.Configuration;

@Configuration
class OneLine {}
